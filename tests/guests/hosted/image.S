/* The program the kernel is to run. */
    .section .rodata
    .global image_start
    .balign 16
image_start:
    .incbin IMAGE
