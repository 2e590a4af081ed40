/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table.h - aligned columns of text for a terminal. */
#ifndef REHOME_NVECTL_TABLE_H
#define REHOME_NVECTL_TABLE_H

#include <stddef.h>
#include <stdio.h>

#include "common/cleanup.h"

struct table;

/* An empty table of @columns columns, or NULL when out of memory. */
struct table *table_new(size_t columns);
struct table *table_free(struct table *table);
DEFINE_CLEANUP(struct table, table_free)

/*
 * Appends a cell, row by row. Control characters become '?', so that a name from elsewhere cannot
 * steer the terminal; an empty text becomes "-". Returns 0 or -ENOMEM.
 */
int table_add(struct table *table, const char *text);

/* Prints the rows; columns are as wide as their widest cell, and the last one is not padded. */
void table_print(const struct table *table, FILE *out);

#endif
