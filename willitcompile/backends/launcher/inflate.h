/*
 * Raw deflate (RFC 1951), unpacked some at a time. Nothing that is wrong with the stream does harm: it is damaged, and
 * that is told. What counts as damage is what zlib counts, and anything behind the stream's end.
 */

#pragma once

#include "system.h"

/* The next byte of the stream, -1 at its end. Whoever includes this has it. */
static int next_packed(void);

/* What is unpacked lies in a ring: the one half is given out, while the other is what distances reach back into. */
enum { WINDOW = 32768, RING = 2 * WINDOW };

/* A canonical Huffman code: how many symbols have each length, and the symbols, shorter ones first. */
struct code {
    uint16_t counts[16], symbols[288];
};

static struct {
    enum { BETWEEN_BLOCKS, STORED, CODED, OVER } state;
    bool is_last, is_damaged;
    uint32_t bits, bit_count; /* taken from the stream, the lowest first, and not used yet */
    uint32_t at;              /* where in the ring the next byte goes */
    uint32_t reach;           /* how far back there is something, up to a window */
    uint32_t left, distance;  /* of a stored block or, from that distance, of a repetition: what is still to come */
    struct code literals, distances;
} unpacker;

/* The next bits of the stream, 16 at most; 0 where it is damaged. */
static uint32_t take_bits(uint32_t count)
{
    while (unpacker.bit_count < count) {
        int byte = next_packed();
        if (byte < 0) {
            unpacker.is_damaged = true;
            return 0;
        }
        unpacker.bits |= (uint32_t)byte << unpacker.bit_count;
        unpacker.bit_count += 8;
    }
    uint32_t taken = unpacker.bits & ((1u << count) - 1);
    unpacker.bits >>= count;
    unpacker.bit_count -= count;
    return taken;
}

static uint32_t take_symbol(const struct code *code)
{
    int32_t value = 0, first = 0, index = 0;
    for (int bits = 1; bits < 16 && !unpacker.is_damaged; bits++) {
        value |= take_bits(1);
        int32_t count = code->counts[bits];
        if (value - first < count)
            return code->symbols[index + value - first];
        index += count;
        first = (first + count) << 1;
        value <<= 1;
    }
    unpacker.is_damaged = true;
    return 0;
}

/* Make a code of the length that each symbol has. Only one of a single symbol of one bit may be incomplete. */
static void make_code(struct code *code, const uint8_t *lengths, uint32_t count, bool may_be_incomplete)
{
    uint16_t offsets[16];
    int32_t left = 1;
    memset(code->counts, 0, sizeof code->counts);
    for (uint32_t i = 0; i < count; i++)
        code->counts[lengths[i]]++;
    uint32_t used = count - code->counts[0];
    offsets[1] = code->counts[0] = 0;
    for (int bits = 1; bits < 16; bits++) {
        left = left * 2 - code->counts[bits];
        if (left < 0) {
            unpacker.is_damaged = true;
            return;
        }
        if (bits < 15)
            offsets[bits + 1] = offsets[bits] + code->counts[bits];
    }
    for (uint32_t i = 0; i < count; i++)
        if (lengths[i])
            code->symbols[offsets[lengths[i]]++] = i;
    /* Without any symbol it is complete: there is nothing that it could be asked for. */
    if (left && used && !(may_be_incomplete && used == 1 && code->counts[1] == 1))
        unpacker.is_damaged = true;
}

static void make_fixed_codes(void)
{
    uint8_t lengths[288];
    for (int i = 0; i < 288; i++)
        lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    make_code(&unpacker.literals, lengths, 288, false);
    memset(lengths, 5, 32);
    make_code(&unpacker.distances, lengths, 32, false);
}

static void take_codes(void)
{
    static const uint8_t ORDER[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[286 + 30];
    uint32_t literals = 257 + take_bits(5), distances = 1 + take_bits(5), count = 4 + take_bits(4);
    if (literals > 286 || distances > 30) {
        unpacker.is_damaged = true;
        return;
    }
    memset(lengths, 0, 19);
    for (uint32_t i = 0; i < count; i++)
        lengths[ORDER[i]] = take_bits(3);
    make_code(&unpacker.literals, lengths, 19, false);
    for (uint32_t i = 0; i < literals + distances && !unpacker.is_damaged;) {
        uint32_t symbol = take_symbol(&unpacker.literals), times = 1;
        uint8_t length = symbol;
        if (symbol == 16) {
            times = 3 + take_bits(2);
            length = i ? lengths[i - 1] : 16;
        } else if (symbol == 17) {
            times = 3 + take_bits(3);
            length = 0;
        } else if (symbol == 18) {
            times = 11 + take_bits(7);
            length = 0;
        }
        if (length > 15 || i + times > literals + distances) {
            unpacker.is_damaged = true;
            return;
        }
        while (times--)
            lengths[i++] = length;
    }
    if (unpacker.is_damaged)
        return;
    make_code(&unpacker.literals, lengths, literals, true);
    make_code(&unpacker.distances, lengths + literals, distances, true);
}

static void begin_block(void)
{
    unpacker.is_last = take_bits(1);
    uint32_t kind = take_bits(2);
    unpacker.state = CODED;
    if (kind == 1)
        make_fixed_codes();
    else if (kind == 2)
        take_codes();
    else {
        unpacker.bits = unpacker.bit_count = 0; /* never a whole byte */
        unpacker.left = take_bits(16);
        unpacker.state = STORED;
        if (kind == 3 || take_bits(16) != (unpacker.left ^ 0xFFFF))
            unpacker.is_damaged = true;
    }
}

/* Of a length or a distance: each `many` symbols have one bit more behind them than those before. */
static uint32_t take_number(uint32_t symbol, uint32_t many)
{
    if (symbol < 2 * many)
        return symbol;
    uint32_t bits = symbol / many - 1;
    return ((many + symbol % many) << bits) + take_bits(bits);
}

static void put(uint8_t byte, uint8_t *ring)
{
    ring[unpacker.at++] = byte;
    if (unpacker.reach < WINDOW)
        unpacker.reach++;
}

static void take_coded(uint8_t *ring)
{
    uint32_t symbol = take_symbol(&unpacker.literals);
    if (unpacker.is_damaged)
        return;
    if (symbol < 256)
        put(symbol, ring);
    else if (symbol == 256)
        unpacker.state = BETWEEN_BLOCKS;
    else {
        symbol -= 257;
        unpacker.left = symbol == 28 ? 258 : 3 + take_number(symbol, 4);
        uint32_t distance = take_symbol(&unpacker.distances);
        unpacker.distance = 1 + take_number(distance, 2);
        /* Where the symbol of a distance has no meaning, this is more than a window. */
        if (symbol > 28 || unpacker.distance > unpacker.reach)
            unpacker.is_damaged = true;
    }
}

/*
 * Unpack some more: how many bytes, which begin at *start of the ring and are good until the next call. 0 at the end of
 * the stream, -1 where it is damaged.
 */
static long unpack(uint8_t *ring, uint32_t *start)
{
    unpacker.at %= RING;
    *start = unpacker.at;
    uint32_t end = unpacker.at < WINDOW ? WINDOW : RING;
    while (unpacker.at < end && unpacker.state != OVER && !unpacker.is_damaged) {
        if (unpacker.state == BETWEEN_BLOCKS) {
            if (!unpacker.is_last)
                begin_block();
            else if (next_packed() < 0)
                unpacker.state = OVER;
            else
                unpacker.is_damaged = true;
        } else if (unpacker.state == STORED) {
            if (unpacker.left)
                unpacker.left--, put(take_bits(8), ring);
            else
                unpacker.state = BETWEEN_BLOCKS;
        } else if (unpacker.left)
            unpacker.left--, put(ring[(unpacker.at - unpacker.distance) % RING], ring);
        else
            take_coded(ring);
    }
    return unpacker.is_damaged ? -1 : (long)(unpacker.at - *start);
}
