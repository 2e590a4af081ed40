/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cleanup.h - scope-bound release of resources, and giving them away. */
#ifndef REHOME_COMMON_CLEANUP_H
#define REHOME_COMMON_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

/* Yields the pointer and leaves NULL behind, so that the cleanup attribute releases nothing. */
#define TAKE_PTR(pointer)                                \
	({                                               \
		__typeof__(pointer) *take_ = &(pointer); \
		__typeof__(pointer) taken_ = *take_;     \
		*take_ = NULL;                           \
		taken_;                                  \
	})

/* Yields the descriptor and leaves -1 behind. */
#define TAKE_FD(fd)                  \
	({                           \
		int *take_ = &(fd);  \
		int taken_ = *take_; \
		*take_ = -1;         \
		taken_;              \
	})

/* Defines FUNCTIONp(TYPE **) for use with _cleanup_; FUNCTION must accept NULL. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a type cannot stand in parentheses there */
#define DEFINE_CLEANUP(type, function)                 \
	static inline void function##p(type **pointer) \
	{                                              \
		if (*pointer)                          \
			(void) function(*pointer);     \
	}
/* NOLINTEND(bugprone-macro-parentheses) */

static inline void cleanup_freep(void *pointer)
{
	free(*(void **) pointer);
}

static inline void cleanup_closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define _cleanup_free_	_cleanup_(cleanup_freep)
#define _cleanup_close_ _cleanup_(cleanup_closep)

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#endif
