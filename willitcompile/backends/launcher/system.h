/* What a C library would give: system calls, bytes and text. */

#pragma once

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/signal.h>
#include <linux/time.h>
#include <linux/time_types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline long call(long number, long a, long b, long c, long d, long e)
{
#if defined(__x86_64__)
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
#else
#error "no system calls for this machine"
#endif
}

#define SYS(...) SYS_(__VA_ARGS__, 0, 0, 0, 0, 0)
#define SYS_(name, a, b, c, d, e, ...) call(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

static const size_t SIGNAL_SET = 8; /* bytes, to the kernel */

static _Noreturn void leave(int code)
{
    for (;;)
        SYS(exit_group, code);
}

/* Kill whatever runs in this container, and go. Only after main() has made sure that this is process 1. */
static _Noreturn void end_everything(int code)
{
    SYS(kill, -1, SIGKILL);
    leave(code);
}

static uint64_t now(void)
{
    struct __kernel_timespec time;
    SYS(clock_gettime, CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

/* How many of them are ready. */
static long poll_for(struct pollfd *what, size_t count, uint64_t nanoseconds)
{
    struct __kernel_timespec time = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    return SYS(ppoll, what, count, &time, NULL, SIGNAL_SET);
}

/* The compiler calls these two by itself. */

void *memcpy(void *to, const void *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ((volatile char *)to)[i] = ((const char *)from)[i];
    return to;
}

void *memset(void *to, int byte, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ((volatile char *)to)[i] = byte;
    return to;
}

static size_t length(const char *text)
{
    size_t count = 0;
    while (text[count])
        count++;
    return count;
}

static bool starts_with(const char *text, const char *start)
{
    while (*start && *text == *start)
        text++, start++;
    return !*start;
}

static bool same(const char *text, const char *other)
{
    return starts_with(text, other) && !text[length(other)];
}

/* The number that text starts with, after blanks; 0 where there is none. */
static uint64_t number_at(const char *text)
{
    uint64_t number = 0;
    while (*text == ' ' || *text == '\t')
        text++;
    while (*text >= '0' && *text <= '9')
        number = number * 10 + (*text++ - '0');
    return number;
}

struct text {
    char *bytes;
    size_t room, used;
};

/* What does not fit is left out; a terminating NUL always fits. */
static void add(struct text *text, const char *more)
{
    while (*more && text->used + 1 < text->room)
        text->bytes[text->used++] = *more++;
    text->bytes[text->used] = 0;
}

static void add_number(struct text *text, uint64_t number)
{
    char digits[21];
    size_t at = sizeof digits - 1;
    digits[at] = 0;
    do
        digits[--at] = '0' + number % 10;
    while (number /= 10);
    add(text, digits + at);
}

/* linux/dirent.h of the kernel itself: what getdents64 gives. */
struct entry {
    uint64_t inode, offset;
    uint16_t size;
    uint8_t kind;
    char name[];
};
enum { DIRECTORY = 4, LINK = 10 };

static bool is_dots(const char *name)
{
    return same(name, ".") || same(name, "..");
}

/* For what is read and used at once. */
static char scratch[65536];
