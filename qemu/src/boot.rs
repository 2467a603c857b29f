//! From QEMU's PVH entry, in 32-bit protected mode, to 64-bit Rust.
//!
//! The note names the entry; the entry maps the first 4 GiB onto themselves (memory up to 3 GiB cached, the devices above
//! not), switches SSE and long mode on, and calls [`kernel_main`](crate::kernel_main) on the big stack.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18                  /* name bytes, descriptor bytes, XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long pvh_start, 0

    .section .boot, "ax", @progbits
    .code32
    .globl pvh_start
pvh_start:
    cli
    cld

    /* PML4 -> PDPT -> four page directories of 2 MiB pages. */
    movl $(boot_pdpt + 3), boot_pml4
    movl $(boot_directories + 3), %eax
    movl $boot_pdpt, %edi
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    decl %ecx
    jnz 1b

    movl $0x83, %eax                /* present, writable, 2 MiB */
    movl $boot_directories, %edi
    movl $2048, %ecx
2:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    cmpl $0xc0000083, %eax
    jne 3f
    orl $0x18, %eax                 /* from 3 GiB on: write-through, not cached */
3:  decl %ecx
    jnz 2b

    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x620, %eax                /* PAE, OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
    movl $0xc0000080, %ecx          /* EFER */
    rdmsr
    orl $0x100, %eax                /* LME */
    wrmsr
    movl %cr0, %eax
    andl $~0xc, %eax                /* without EM and TS */
    orl $0x80010022, %eax           /* PG, WP, NE, MP */
    movl %eax, %cr0
    lgdt boot_gdt_pointer
    ljmp $8, $long_mode

    .code64
long_mode:
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    leaq stack_top(%rip), %rsp
    xorl %ebp, %ebp
    movl %ebx, %edi                 /* the start info */
    call kernel_main
    ud2

    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff        /* 64-bit code */
boot_gdt_end:
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .long boot_gdt

    .section .bss.boot_tables, "aw", @nobits
    .balign 4096
    .globl boot_directories
boot_pml4:        .skip 4096
boot_pdpt:        .skip 4096
boot_directories: .skip 4 * 4096
    .text
    "#,
    options(att_syntax)
);
