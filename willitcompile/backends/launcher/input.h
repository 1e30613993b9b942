/* Where records come from: stdin, or the parts of a packed stream. */

#pragma once

#include "inflate.h"
#include "output.h"

static char input[RING];
static size_t input_at, input_end;
static uint32_t record_left; /* bytes of this record that were not taken yet */

/* What cannot be read now, cannot be later. No job runs while there is something to read. */
static _Noreturn void give_up_reading(const char *path, long error)
{
    fail("read", path, error);
    send_failure();
    end_everything(1);
}

static int next_packed(void)
{
    static uint8_t packed[16384];
    static long at, end, file; /* not 0 while there is one */
    static const char *path;
    while (at == end) {
        if (!file) {
            if (!*parts)
                return -1;
            path = *parts++;
            file = SYS(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
            if (file < 0)
                give_up_reading(path, file);
        }
        at = 0;
        end = SYS(read, file, packed, sizeof packed);
        if (end < 0)
            give_up_reading(path, end);
        if (end == 0) {
            SYS(close, file);
            file = 0;
        }
    }
    return packed[at++];
}

/* False at the end of the parts. */
static bool read_parts(void)
{
    uint32_t start;
    long count = unpack((uint8_t *)input, &start);
    if (count < 0)
        give_up_reading("the job's files", -EBADMSG);
    input_at = start;
    input_end = start + count;
    return count;
}

static void read_input(void)
{
    if (parts) {
        if (!read_parts())
            give_up_reading("the job's files", -EBADMSG);
        return;
    }
    long count = SYS(read, 0, input, sizeof input);
    if (count == -EINTR || count == -EAGAIN)
        return;
    if (count <= 0)
        end_everything(0);
    input_at = 0;
    input_end = count;
}

/* Take up to `most` bytes from the input, waiting for the first; how many. */
static size_t take(const char **bytes, size_t most)
{
    while (input_at == input_end) {
        struct pollfd in[2] = {{0, POLLIN, 0}};
        if (!parts && !wait_for(in, 2))
            end_everything(0);
        read_input();
    }
    size_t count = input_end - input_at;
    if (count > most)
        count = most;
    *bytes = input + input_at;
    input_at += count;
    return count;
}

/* Take the next bytes of this record; 0 at its end. */
static size_t take_of_record(const char **bytes, size_t most)
{
    if (most > record_left)
        most = record_left;
    size_t count = most ? take(bytes, most) : 0;
    record_left -= count;
    return count;
}

/* Take up to `room` bytes of this record; how many. */
static size_t take_bytes(void *to, size_t room)
{
    const char *bytes;
    size_t taken = 0, count;
    while (taken < room && (count = take_of_record(&bytes, room - taken))) {
        memcpy((char *)to + taken, bytes, count);
        taken += count;
    }
    return taken;
}

/* Take text up to a NUL or the end of the record. */
static bool take_text(char *to, size_t room)
{
    const char *byte;
    size_t used = 0;
    while (take_of_record(&byte, 1) && *byte) {
        if (used + 1 == room) {
            to[used] = 0;
            fail("take", to, -ENAMETOOLONG);
            return false;
        }
        to[used++] = *byte;
    }
    to[used] = 0;
    return true;
}
