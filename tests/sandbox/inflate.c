/* The launcher's inflate.h by itself: reads streams from stdin, each after its length, and answers with what unpack()
 * said last, the length of what came out, and that. Streams end where a stream of no bytes comes. */
#define memcpy copy_bytes /* not in the C library's place */
#define memset set_bytes
#include "inflate.h"

static uint8_t *stream, *stream_end;

static int next_packed(void)
{
    return stream == stream_end ? -1 : *stream++;
}

static void pass(long number, int file, void *bytes, size_t count)
{
    for (size_t done = 0; done < count;) {
        long some = call(number, file, (long)bytes + done, count - done, 0, 0);
        if (some <= 0)
            leave(1);
        done += some;
    }
}

int main(void)
{
    static uint8_t packed[1 << 20], ring[RING], out[16 << 20];
    int32_t answer[2];
    for (;;) {
        uint32_t size, start;
        pass(__NR_read, 0, &size, sizeof size);
        if (!size || size > sizeof packed)
            leave(0);
        stream = packed + sizeof packed - size; /* what is read behind its end is behind the array's */
        stream_end = packed + sizeof packed;
        pass(__NR_read, 0, stream, size);
        memset(&unpacker, 0, sizeof unpacker);
        long count;
        size_t used = 0;
        while ((count = unpack(ring, &start)) > 0 && used + count <= sizeof out) {
            memcpy(out + used, ring + start, count);
            used += count;
        }
        answer[0] = count;
        answer[1] = used;
        pass(__NR_write, 1, answer, sizeof answer);
        pass(__NR_write, 1, out, used);
    }
}
