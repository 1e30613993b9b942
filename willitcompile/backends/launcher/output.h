/*
 * What goes to stdout, and what is looked at while it cannot: signals, and whether anybody is there. Why a job cannot
 * be run is kept here until it is told.
 */

#pragma once

#include <linux/signalfd.h>

#include "system.h"

/* A frame with its header is a page: a pipe that has room at all takes that much without blocking. So is a line that
 * has a frame in it, after its number and a space. */
enum { HEADER = 5, FRAME = 4096, NUMBER = 11, FRAME_IN_LINE = (FRAME - NUMBER - 1) / 4 * 3 };

/* Not zero: before version 6.6 Linux starts no program that has memory to write but nothing in its file for it, unless
 * this memory happens to begin with a page. */
static uint64_t idle_nanoseconds = 1;
static char **parts; /* the files with the records that were not opened yet; NULL where these come from stdin */
static int leash;    /* stdin, or -1 */

/* ---- Signals ---- */

static int signals; /* what becomes readable with each SIGCHLD and SIGTERM, which are blocked */

/*
 * Take those that have come. With SIGTERM an engine ends a container. Only where it is from outside, kill() was called
 * and the kernel names no process for it. (It names none either for one that fcntl's F_SETSIG has asked for: that has
 * another code.)
 */
static void heed_signals(void)
{
    struct signalfd_siginfo came[4];
    long size = SYS(read, signals, came, sizeof came);
    for (long i = 0; i < size / (long)sizeof *came; i++)
        if (came[i].ssi_signo == SIGTERM && came[i].ssi_code == SI_USER && came[i].ssi_pid == 0)
            end_everything(128 + SIGTERM);
}

/* Wait until one of these is ready, but the last one, which is for signals. False where that takes too long. */
static bool wait_for(struct pollfd *what, size_t count)
{
    uint64_t time = now(), until = time + idle_nanoseconds;
    for (long ready = 0;; time = now()) {
        what[count - 1] = (struct pollfd){signals, POLLIN, 0};
        ready = poll_for(what, count, until > time ? until - time : 0);
        if (ready == 0)
            return false;
        if (ready > 0 && what[count - 1].revents) {
            heed_signals();
            ready--;
        }
        if (ready > 0)
            return true;
    }
}

/* ---- What goes out ---- */

static char frame[FRAME];

/* Make a line of the first bytes of the frame; its length. By its number one that a log has lost is missed. */
static size_t make_line(char *line, size_t size)
{
    static uint32_t number;
    struct text start = {line, NUMBER + 1, 0};
    add_number(&start, number++);
    add(&start, " ");
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t used = start.used;
    for (size_t at = 0; at < size; at += 3) {
        uint32_t bits = 0;
        for (size_t i = 0; i < 3; i++)
            bits = bits << 8 | (at + i < size ? (uint8_t)frame[at + i] : 0);
        for (size_t i = 0; i < 4; i++)
            line[used++] = i <= size - at ? DIGITS[bits >> (18 - 6 * i) & 63] : '=';
    }
    line[used++] = '\n';
    return used;
}

/* Send the frame whose payload stands at frame + HEADER. */
static void send(char kind, uint32_t size)
{
    static char line[FRAME];
    frame[0] = kind;
    memcpy(frame + 1, &size, sizeof size);
    const char *bytes = parts ? line : frame;
    size_t left = parts ? make_line(line, HEADER + size) : HEADER + size;
    while (left) {
        /* Whoever has stopped to read may also be gone. */
        struct pollfd ends[3] = {{leash, 0, 0}, {1, POLLOUT, 0}};
        if (!wait_for(ends, 3) || ends[0].revents)
            end_everything(1);
        long count = SYS(write, 1, bytes, left);
        if (count > 0) {
            bytes += count;
            left -= count;
        } else if (count != -EINTR && count != -EAGAIN)
            end_everything(1);
    }
}

static void send_bytes(char kind, const void *payload, uint32_t size)
{
    memcpy(frame + HEADER, payload, size);
    send(kind, size);
}

static bool is_room_for_a_frame(void)
{
    struct pollfd out = {1, POLLOUT, 0};
    return poll_for(&out, 1, 0) != 0;
}

/* Why this job cannot be run; empty while it can. */
static char failure[1024];

static const struct {
    int number;
    const char *text;
} ERRORS[] = {
    {EPERM, "Operation not permitted"},
    {ENOENT, "No such file or directory"},
    {EIO, "Input/output error"},
    {E2BIG, "Argument list too long"},
    {ENOEXEC, "Exec format error"},
    {EAGAIN, "Resource temporarily unavailable"},
    {ENOMEM, "Cannot allocate memory"},
    {EACCES, "Permission denied"},
    {EBUSY, "Device or resource busy"},
    {EEXIST, "File exists"},
    {ENOTDIR, "Not a directory"},
    {EISDIR, "Is a directory"},
    {EINVAL, "Invalid argument"},
    {EMFILE, "Too many open files"},
    {ENOSPC, "No space left"},
    {EROFS, "Read-only file system"},
    {ENAMETOOLONG, "File name too long"},
    {ENOSYS, "Function not implemented"},
    {ELOOP, "Too many levels of symbolic links"},
    {EBADMSG, "Damaged"},
    {EDQUOT, "Disk quota exceeded"},
};

/* Remember the first thing that went wrong: "cannot write src/a.c: No space left (28)". */
static void fail(const char *doing, const char *what, long error)
{
    if (failure[0])
        return;
    struct text text = {failure, sizeof failure, 0};
    add(&text, "cannot ");
    add(&text, doing);
    add(&text, " ");
    /* The reason behind it has to fit, too. */
    text.room -= 100;
    add(&text, what);
    text.room += 100;
    add(&text, ": ");
    const char *name = "error";
    for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++)
        if (ERRORS[i].number == -error)
            name = ERRORS[i].text;
    add(&text, name);
    add(&text, " (");
    add_number(&text, -error);
    add(&text, ")");
}

static void send_failure(void)
{
    send_bytes('F', failure, length(failure));
    failure[0] = 0;
}
