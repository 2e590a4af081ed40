/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nvectl/text.h"

char *text_disarm(char *text)
{
	for (char *c = text; *c; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			*c = '?';
	return text;
}
