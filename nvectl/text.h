/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* text.h - text from elsewhere, made fit for a terminal. */
#ifndef REHOME_NVECTL_TEXT_H
#define REHOME_NVECTL_TEXT_H

/* Turns control characters into '?', so that a name cannot steer the terminal; returns @text. */
char *text_disarm(char *text);

#endif
