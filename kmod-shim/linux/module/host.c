// SPDX-License-Identifier: BSD-3-Clause
/* What the kernel provides to the core: memory, time, random numbers, check codes, the log. */
#include "hammer2.h"

#include <linux/cpufeature.h>
#include <linux/crc32.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>

/* kmalloc() aligns powers of two and whole pages to their sizes; vmalloc() aligns to pages. */
void *hammer2_host_allocate(size_t bytes, size_t alignment)
{
	if (alignment > PAGE_SIZE)
		return NULL;
	if (alignment > ARCH_KMALLOC_MINALIGN)
		bytes = bytes < PAGE_SIZE ? roundup_pow_of_two(max(bytes, alignment)) : PAGE_ALIGN(bytes);
	return kvmalloc(bytes, GFP_KERNEL | __GFP_NOWARN);
}

void hammer2_host_free(void *block, size_t bytes, size_t alignment)
{
	kvfree(block);
}

void hammer2_host_say(u32 severity, const char *bytes, size_t length)
{
	switch (severity) {
	case 0:
		pr_err("%.*s\n", (int)length, bytes);
		break;
	case 1:
		pr_warn("%.*s\n", (int)length, bytes);
		break;
	case 2:
		pr_info("%.*s\n", (int)length, bytes);
		break;
	default:
		pr_warn_ratelimited("%.*s\n", (int)length, bytes);
	}
}

/* This clock continues during sleep, since another machine may take the devices over meanwhile. */
u64 hammer2_host_nanoseconds(void)
{
	return ktime_get_boottime_ns();
}

u64 hammer2_host_wall_microseconds(void)
{
	return ktime_get_real_ns() / NSEC_PER_USEC;
}

u64 hammer2_host_random(void)
{
	return get_random_u64();
}

/* This uses the processor's instruction, which needs none of the registers that the kernel doesn't save. */
static u32 hammer2_crc32c_words(u32 code, const u8 *bytes, size_t length)
{
	u64 words = code;

	for (; length >= sizeof(u64); bytes += sizeof(u64), length -= sizeof(u64))
		asm("crc32q %1, %0" : "+r" (words) : "m" (*(const u64 *)bytes));
	code = words;
	for (; length; bytes++, length--)
		asm("crc32b %1, %0" : "+r" (code) : "m" (*bytes));
	return code;
}

u32 hammer2_host_crc32c(const void *bytes, size_t length)
{
	if (boot_cpu_has(X86_FEATURE_XMM4_2))
		return ~hammer2_crc32c_words(~0u, bytes, length);
	return ~__crc32c_le(~0u, bytes, length);
}
