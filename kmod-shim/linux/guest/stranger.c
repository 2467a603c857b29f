// SPDX-License-Identifier: BSD-3-Clause
/*
 * What nobody but root and the owner may ask of a mount: `stranger MOUNT` tries as another user, and sees that root is answered. It ends with
 * 0, or says what isn't so.
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
	/* Who has no room is told how much it takes, and nothing is written behind it. */
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
