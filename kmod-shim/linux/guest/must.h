/* SPDX-License-Identifier: BSD-3-Clause */
/* The assertion of the guest's test programs. */
#ifndef MUST_H
#define MUST_H

#include <unistd.h>

#define MUST(condition) \
	do { \
		if (!(condition)) { \
			static const char words[] = "not so: " #condition "\n"; \
			(void)!write(2, words, sizeof(words) - 1); \
			return 1; \
		} \
	} while (0)

#endif
