// SPDX-License-Identifier: BSD-3-Clause
/*
 * What only root and the owner may ask of a mount: `stranger MOUNT` tries it as another user, and checks that root gets an
 * answer. It ends with 0, or prints what is wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "must.h"

static char answer[65536];

int main(int count, char **arguments)
{
	const char *mount = arguments[1];

	MUST(count == 2 && getxattr(mount, "system.hammer2.status", answer, sizeof(answer)) > 100);
	/* With a buffer that is too small, only the length is returned, and nothing is written after the buffer. */
	MUST(getxattr(mount, "system.hammer2.status", NULL, 0) > 100);
	memset(answer, 0x5a, sizeof(answer));
	MUST(getxattr(mount, "system.hammer2.status", answer, 99) == -1 && errno == ERANGE && answer[0] == 0x5a);
	/* Orders that make no sense. */
	MUST(setxattr(mount, "system.hammer2.order", answer, 24, 0) == -1 && errno == EINVAL);
	MUST(setxattr(mount, "system.hammer2.order", answer, 3, 0) == -1 && errno == EINVAL);
	MUST(setxattr(mount, "system.hammer2.order", answer, 60000, 0) == -1 && errno == EINVAL);
	MUST(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	MUST(getxattr(mount, "system.hammer2.status", answer, sizeof(answer)) == -1 && errno == EPERM);
	MUST(getxattr(mount, "system.hammer2.outcome", answer, sizeof(answer)) == -1 && errno == EPERM);
	MUST(setxattr(mount, "system.hammer2.order", answer, 24, 0) == -1 && errno == EPERM);
	return 0;
}
