// A price-time-priority ladder in C++ with the features of abm/book/match_kernel.py: what the compiled Python is
// measured against (`python -m benchmarks.ladder`). Same records, same rules, same order of the output, no bounds
// checks. Every tick of a market heads a doubly linked first-in-first-out list of orders of one pool; bitmaps of
// 64-way words find the next tick that is not empty; a handle is (generation << 32 | slot). A batch is refused before
// anything changes when a price lies outside the ladders or the pool may not suffice (the Python side grows instead).

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#define INLINE __attribute__((always_inline))

namespace {

using i8 = std::int8_t;
using i32 = std::int32_t;
using i64 = std::int64_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

enum Operation { LIMIT, MARKET, IOC, FOK, POST_ONLY, STOP, STOP_LIMIT, CANCEL, REPLACE, TRIGGER, REFUSED };
enum Flag { REDUCE_ONLY = 1, FORCED = 2, ON_MARK = 4 };
enum SelfTrade { ALLOWED, CANCEL_TAKER, CANCEL_MAKER, CANCEL_BOTH, DECREMENT };
enum Reason { EXPIRED, CANCELLED, REJECTED, REPLACED, SELF_TRADED, CLIPPED };
enum State { VACANT, RESTING, WAITING, RUNNING };
constexpr i32 NOBODY = -1;
constexpr i64 UNCHANGED = -1;
constexpr int RANKS = 4, QUEUES = 6, LADDERS = 5;

struct Message {
    i32 market, account;
    i8 op, side, flags, reason, latency;
    i64 price, stop, lots, order, unit_reserve, cause;
};
struct Fill {
    i32 market, taker, maker;
    i8 side, taker_flags, maker_flags, reason;
    i64 price, lots, taker_order, maker_order, taker_reserve, maker_reserve, cause;
};
struct Close {
    i32 market, account;
    i8 side, flags, reason, op;
    i64 lots, order, unit_reserve, message;
};
struct Order {
    i32 account;
    u32 generation;
    i32 market;
    i8 side, flags, reason, state, op;
    i64 price, stop, lots, id, unit_reserve;
};
struct Link {
    u32 next, prev;  // of a stop that was set off, prev is 1 + the fill that did it
};
struct Level {
    u32 head, tail;
    i64 lots;
};
static_assert(sizeof(Message) == 64 && sizeof(Fill) == 72 && sizeof(Close) == 48 && sizeof(Order) == 64, "records");

// Zeros that begin at a cache line; fresh pages cost nothing until they are touched.
template <class T>
T* zeros(i64 count, std::vector<void*>& owned) {
    char* raw = static_cast<char*>(std::calloc(count * sizeof(T) + 64, 1));
    if (!raw) std::abort();
    owned.push_back(raw);
    return reinterpret_cast<T*>(raw + (-reinterpret_cast<std::uintptr_t>(raw) & 63));
}

// One tick after the other, with the bitmaps above them.
struct Ladder {
    Level* levels;
    u64* words[RANKS];

    void open(i64 span, std::vector<void*>& owned) {
        levels = zeros<Level>(span, owned);
        for (u64*& rank : words) rank = zeros<u64>(span = (span + 63) / 64, owned);
    }
    INLINE void set(i64 place) {
        for (int rank = 0; rank < RANKS; ++rank, place >>= 6) {
            u64& word = words[rank][place >> 6];
            const u64 before = word;
            word |= 1ull << (place & 63);
            if (before) return;
        }
    }
    INLINE void clear(i64 place) {
        for (int rank = 0; rank < RANKS; ++rank, place >>= 6) {
            u64& word = words[rank][place >> 6];
            word &= ~(1ull << (place & 63));
            if (word) return;
        }
    }
    // The next place beyond this one that is not empty; the caller knows that there is one.
    INLINE i64 next(i64 place, bool down) const {
        int rank = 0;
        u64 word;
        while (true) {
            const int bit = place & 63;
            word = words[rank][place >> 6];
            word = down ? word & ((1ull << bit) - 1) : word >> bit >> 1 << bit << 1;
            if (word) break;
            ++rank;
            place >>= 6;
        }
        place = (place & ~63ll) | pick(word, down);
        while (rank-- > 0) place = place << 6 | pick(words[rank][place], down);
        return place;
    }
    static INLINE int pick(u64 word, bool down) { return down ? 63 - __builtin_clzll(word) : __builtin_ctzll(word); }
};

// One side of one ladder: bids, asks, buy and sell stops on the last price, buy and sell stops on the mark.
struct Queue {
    Ladder* ladder;
    i64 best, count;  // best 0: empty
    bool down;        // the highest tick is served first
};

struct Market {
    i64 base, span, last, self_trade;
    Ladder ladders[LADDERS];
    Queue queues[QUEUES];
};

INLINE inline int kind(int side, bool waiting, int flags) {
    return (side < 0) + (!waiting ? 0 : flags & ON_MARK ? 4 : 2);
}
INLINE inline bool crosses(i64 side, i64 limit, i64 best) {
    return best != 0 && (limit == 0 || side * (limit - best) >= 0);
}
INLINE inline bool unacceptable(const Message& m, i64 best) {
    if (m.op == LIMIT) return m.lots <= 0 || m.price <= 0;
    if (m.lots <= 0 || m.price < 0 || m.op < 0) return true;
    if (m.price == 0 && (m.op == POST_ONLY || m.op == STOP_LIMIT)) return true;
    if (m.op == POST_ONLY) return best != 0 && m.side * (m.price - best) >= 0;
    return m.op >= STOP && m.stop <= 0;
}
INLINE inline bool waits(const Message& m, i64 last) {
    return m.flags & ON_MARK || last == 0 || m.side * (last - m.stop) < 0;
}
INLINE inline bool out_of_reach(const Order& order, const Message& m) {
    if (order.generation != static_cast<u64>(m.order) >> 32 || order.market != m.market) return true;
    if (m.op == TRIGGER) return order.state != WAITING;
    if (order.account != m.account) return true;
    return order.state != RESTING && (order.state != WAITING || m.op == REPLACE);
}
inline Message as_message(const Order& order) {
    Message m{};
    m.market = order.market, m.account = order.account, m.op = order.op, m.side = order.side, m.flags = order.flags;
    m.reason = order.reason, m.price = order.price, m.stop = order.stop, m.lots = order.lots, m.order = order.id;
    m.unit_reserve = order.unit_reserve;
    return m;
}

struct Engine {
    std::vector<Market> markets;
    Order* orders;
    Link* links;
    u32* spare;  // slots given back, used again last in, first out
    i64 capacity, spares = 0, unused = 1;
    std::vector<void*> owned;
};

// What one batch writes, and the steps of which every message is made.
struct Batch {
    Engine& engine;
    Order* const orders;
    Link* const links;
    u32* const spare;
    i64* const net;
    const i64* const offsets;
    Fill* const first_fill;
    Fill* fill;
    Close* close;
    i64* const handles;
    const i64 first_seq;
    i64 spares, unused;

    template <class Record>
    INLINE void report(const Record& who, i64 order, int reason, i64 lots, i64 i) {
        *close++ = {who.market, who.account, who.side, who.flags, static_cast<i8>(reason), who.op,
                    std::max<i64>(0, lots), order, who.unit_reserve, i};
    }
    INLINE void give_back(u32 slot) {
        orders[slot].state = VACANT;
        ++orders[slot].generation;
        spare[spares++] = slot;
    }
    // Takes an order out of its queue; finds the next best price when its level is empty.
    INLINE void leave(const Market& market, Queue& queue, u32 slot, i64 tick, i64 lots) {
        const Link link = links[slot];
        const i64 place = tick - market.base;
        Level& level = queue.ladder->levels[place];
        (link.prev ? links[link.prev].next : level.head) = link.next;
        (link.next ? links[link.next].prev : level.tail) = link.prev;
        level.lots -= lots;
        --queue.count;
        if (level.head) return;
        queue.ladder->clear(place);
        if (queue.count == 0)
            queue.best = 0;
        else if (queue.best == tick)
            queue.best = queue.ladder->next(place, queue.down) + market.base;
    }
    INLINE void leave(Market& market, u32 slot) {
        const Order& order = orders[slot];
        const bool waiting = order.state == WAITING;
        leave(market, market.queues[kind(order.side, waiting, order.flags)], slot, waiting ? order.stop : order.price,
              order.lots);
    }
    INLINE i64 rest(Market& market, const Message& t, u32 slot, bool waiting, i64 lots) {
        if (!slot) slot = spares ? spare[--spares] : static_cast<u32>(unused++);
        Order& order = orders[slot];
        if (t.op != REPLACE) {
            order.account = t.account, order.market = t.market, order.side = t.side, order.flags = t.flags;
            order.op = t.op, order.stop = t.stop, order.id = t.order;
        }
        order.reason = t.reason, order.state = waiting ? WAITING : RESTING, order.price = t.price, order.lots = lots;
        order.unit_reserve = t.unit_reserve;
        Queue& queue = market.queues[kind(t.side, waiting, t.flags)];
        const i64 tick = waiting ? t.stop : t.price, place = tick - market.base;
        Level& level = queue.ladder->levels[place];
        links[slot] = {0, level.tail};
        level.lots += lots;
        ++queue.count;
        if (level.tail) {
            links[level.tail].next = slot;
        } else {
            level.head = slot;
            queue.ladder->set(place);
            if (queue.best == 0 || (tick > queue.best) == queue.down) queue.best = tick;
        }
        level.tail = slot;
        return slot | static_cast<i64>(order.generation) << 32;
    }
    // Whether fill-or-kill would fill, or a replaced order would not meet its owner; positions as they would be.
    bool dry_run(const Market& market, const Message& t, const Queue& facing, i64 left, i64 offset) {
        const i64 wanted = left;
        const int mode = market.self_trade;
        Fill* note = fill;
        bool own = false;
        i64 tick = facing.best, seen = 0;
        while (left > 0 && !own && seen < facing.count && crosses(t.side, t.price, tick)) {
            for (u32 slot = facing.ladder->levels[tick - market.base].head; slot && left > 0 && !own;
                 slot = links[slot].next) {
                const Order& maker = orders[slot];
                const bool tracked = offset >= 0 && maker.account != NOBODY;
                i64 lots = std::min(maker.lots, left);
                ++seen;
                if (tracked && maker.flags & REDUCE_ONLY)
                    lots = std::min(lots, std::max<i64>(0, t.side * net[offset + maker.account]));
                if (lots > 0 && mode != ALLOWED && maker.account == t.account && t.account != NOBODY)
                    lots = 0, own = mode != CANCEL_MAKER;
                left -= lots;
                if (offset >= 0 && t.account != NOBODY) net[offset + t.account] += t.side * lots;
                if (tracked) {
                    net[offset + maker.account] -= t.side * lots;
                    note->maker = maker.account, note->lots = lots;
                    ++note;
                }
            }
            if (left > 0 && !own && seen < facing.count)
                tick = facing.ladder->next(tick - market.base, facing.down) + market.base;
        }
        while (note > fill) {
            --note;
            net[offset + note->maker] += t.side * note->lots;
        }
        if (offset >= 0 && t.account != NOBODY) net[offset + t.account] -= t.side * (wanted - left);
        return t.op == REPLACE ? !own : left == 0;
    }
    // Trades against the other side; returns what is left.
    INLINE i64 take(Market& market, const Message& t, Queue& facing, i64 left, i64 offset, i64 i) {
        const int mode = market.self_trade;
        while (left > 0 && crosses(t.side, t.price, facing.best)) {
            const i64 price = facing.best;
            Level& level = facing.ladder->levels[price - market.base];
            const u32 slot = level.head;
            Order& maker = orders[slot];
            const i64 lots = maker.lots;
            i64 minus = std::min(lots, left), room = lots;
            if (maker.flags & REDUCE_ONLY && offset >= 0 && maker.account != NOBODY)
                room = std::min(lots, std::max<i64>(0, t.side * net[offset + maker.account]));
            if (room < lots) {  // clipped now, looked at again in the next round
                minus = lots - room;
                report(maker, maker.id, CLIPPED, minus, i);
            } else if (mode != ALLOWED && maker.account == t.account && t.account != NOBODY) {
                const i64 own = mode == DECREMENT ? minus : mode != CANCEL_MAKER ? left : 0;
                minus = mode == DECREMENT ? minus : mode != CANCEL_TAKER ? lots : 0;
                if (minus > 0) report(maker, maker.id, SELF_TRADED, minus, i);
                if (own > 0) report(t, t.order, SELF_TRADED, own, i);
                left -= own;
            } else {
                *fill++ = {t.market, t.account, maker.account, t.side, t.flags, maker.flags, t.reason, price, minus,
                           t.order, maker.id, t.unit_reserve, maker.unit_reserve, t.cause};
                left -= minus;
                market.last = price;
                if (offset >= 0 && t.account != NOBODY) net[offset + t.account] += t.side * minus;
                if (offset >= 0 && maker.account != NOBODY) net[offset + maker.account] -= t.side * minus;
            }
            if (lots == minus) {
                leave(market, facing, slot, price, lots);
                give_back(slot);
            } else {
                level.lots -= minus;
                maker.lots = lots - minus;
            }
        }
        return left;
    }
    // An order from clipping to rest. `slot`: where it is in the pool, 0 = nowhere; returns whether it was carried out.
    INLINE bool execute(Market& market, const Message& t, i64 order, u32 slot, bool mine, i64 i) {
        Queue& facing = market.queues[t.side > 0];
        const i64 offset = offsets[t.market];
        i64 left = t.lots, clip = 0;
        if (t.flags & REDUCE_ONLY && offset >= 0 && t.account != NOBODY) {
            clip = std::max<i64>(0, left - std::max<i64>(0, -t.side * net[offset + t.account]));
            left -= clip;
        }
        const bool avoids = market.self_trade == CANCEL_TAKER || market.self_trade == CANCEL_BOTH;
        if ((t.op == FOK || (t.op == REPLACE && avoids)) && !dry_run(market, t, facing, left, offset)) {
            report(t, order, REJECTED, left + clip, i);
            return false;
        }
        if (t.op == REPLACE) report(orders[slot], orders[slot].id, REPLACED, orders[slot].lots, i);
        if (clip > 0) report(t, t.order, CLIPPED, clip, i);
        if (t.op == REPLACE) leave(market, slot);
        left = take(market, t, facing, left, offset, i);
        if (left > 0 && (t.op == LIMIT || t.op == POST_ONLY || t.op == STOP_LIMIT || t.op == REPLACE)) {
            const i64 handle = rest(market, t, slot, false, left);
            if (mine) handles[i] = handle;
        } else {
            if (left > 0) report(t, t.order, EXPIRED, left, i);
            if (slot) give_back(slot);
        }
        return true;
    }
    // The stops that the last price has set off, and those that they set off.
    __attribute__((noinline)) void settle(Market& market, i64 cause, i64 settled, u32 chain, i64 i) {
        u32 end = chain;
        while (true) {
            while (fill - first_fill > settled) {
                Queue *buys = &market.queues[2], *sells = &market.queues[3];
                const bool buy = buys->best != 0 && buys->best <= market.last;
                if (!buy && sells->best < market.last) {  // also when there is none
                    settled = fill - first_fill;
                    break;
                }
                const Queue& queue = buy ? *buys : *sells;
                const u32 slot = queue.ladder->levels[queue.best - market.base].head;
                leave(market, slot);
                orders[slot].state = RUNNING;
                links[slot] = {0, static_cast<u32>(fill - first_fill)};
                (chain ? links[end].next : chain) = slot;
                end = slot;
            }
            if (!chain) return;
            const u32 slot = chain;
            const Link link = links[slot];
            chain = link.next;
            Message t = as_message(orders[slot]);
            t.cause = link.prev ? first_seq + link.prev - 1 : cause;
            settled = fill - first_fill;
            execute(market, t, t.order, slot, link.prev == 0, i);
        }
    }
    INLINE void change(Market& market, const Message& m, i64 i) {
        u32 slot = static_cast<u32>(m.order);
        if (slot >= engine.capacity) slot = 0;
        Order& order = orders[slot];
        if (m.op > REFUSED || out_of_reach(order, m)) return report(m, m.order, REJECTED, m.op == REPLACE ? m.lots : 0, i);
        const i64 before = fill - first_fill;
        if (m.op == TRIGGER) {
            leave(market, slot);
            order.state = RUNNING;
            links[slot] = {0, 0};
            return settle(market, m.cause, before, slot, i);
        }
        if (m.op == REPLACE) {
            Message t = as_message(order);
            t.op = REPLACE, t.reason = m.reason, t.unit_reserve = m.unit_reserve, t.cause = m.cause;
            if (m.price != UNCHANGED) t.price = m.price;
            if (m.lots != UNCHANGED) t.lots = m.lots;
            if (t.lots < 0 || t.price <= 0) return report(t, m.order, REJECTED, t.lots, i);
            if (t.lots > 0 && t.lots < order.lots && t.price == order.price) {  // keeps its place
                report(order, order.id, REPLACED, order.lots, i);
                market.queues[order.side < 0].ladder->levels[order.price - market.base].lots -= order.lots - t.lots;
                order.lots = t.lots, order.unit_reserve = t.unit_reserve;
                handles[i] = m.order;
                return;
            }
            if (t.lots > 0) {
                if (execute(market, t, m.order, slot, true, i) && fill - first_fill > before)
                    settle(market, m.cause, before, 0, i);
                return;
            }
        }
        report(order, order.id, CANCELLED, order.lots, i);
        leave(market, slot);
        give_back(slot);
    }
    INLINE void enter(Market& market, const Message& m, i64 i) {
        if (unacceptable(m, market.queues[m.side > 0].best)) return report(m, m.order, REJECTED, m.lots, i);
        if (m.op >= STOP && waits(m, market.last)) {
            handles[i] = rest(market, m, 0, true, m.lots);
            return;
        }
        const i64 before = fill - first_fill;
        if (execute(market, m, m.order, 0, true, i) && fill - first_fill > before) settle(market, m.cause, before, 0, i);
    }
};

// Whether the batch fits: the pool suffices and no price that may come to rest lies outside its ladders.
bool fits(const Engine& engine, const Message* messages, i64 n) {
    i64 entering = 0, outside = 0;
    for (i64 i = 0; i < n; ++i) {
        const Message& m = messages[i];
        const i64 low = engine.markets[m.market].base, high = low + engine.markets[m.market].span;
        const bool rests = (m.op == LIMIT) | (m.op == POST_ONLY) | (m.op == STOP_LIMIT) | (m.op == REPLACE);
        const bool stops = (m.op == STOP) | (m.op == STOP_LIMIT);
        entering += m.op <= STOP_LIMIT;
        outside |= rests & (m.price > 0) & ((m.price < low) | (m.price >= high));
        outside |= stops & (m.stop > 0) & ((m.stop < low) | (m.stop >= high));
    }
    return !outside && engine.unused - engine.spares + entering <= engine.capacity;
}

}  // namespace

extern "C" {

Engine* ladder_open(i64 count, i64 base, i64 span, i64 self_trade, i64 capacity) {
    Engine* engine = new Engine;
    engine->markets.resize(count);
    for (Market& market : engine->markets) {
        market.base = base, market.span = span, market.last = 0, market.self_trade = self_trade;
        for (Ladder& ladder : market.ladders) ladder.open(span, engine->owned);
        const int of_queue[QUEUES] = {0, 0, 1, 2, 3, 4};
        for (int q = 0; q < QUEUES; ++q)
            market.queues[q] = {&market.ladders[of_queue[q]], 0, 0, q == 0 || q == 3 || q == 5};
    }
    engine->orders = zeros<Order>(capacity + 1, engine->owned);
    engine->links = zeros<Link>(capacity + 1, engine->owned);
    engine->spare = zeros<u32>(capacity + 1, engine->owned);
    engine->capacity = capacity + 1;
    return engine;
}

void ladder_close(Engine* engine) {
    for (void* room : engine->owned) std::free(room);
    delete engine;
}

// Executes a batch; writes the numbers of fills and closings. 0 = done, 1 = refused, nothing changed.
i64 ladder_match(Engine* engine, const Message* messages, i64 n, i64* net, const i64* offsets, Fill* fills,
                 Close* closes, i64* handles, i64 first_seq, i64* counts) {
    if (!fits(*engine, messages, n)) return 1;
    Batch batch{*engine, engine->orders, engine->links, engine->spare, net, offsets, fills, fills, closes, handles,
                first_seq, engine->spares, engine->unused};
    for (i64 i = 0; i < n; ++i) {
        const Message& m = messages[i];
        handles[i] = NOBODY;
        Market& market = engine->markets[m.market];
        if (m.op <= STOP_LIMIT)
            batch.enter(market, m, i);
        else if (m.op != REFUSED)
            batch.change(market, m, i);
    }
    engine->spares = batch.spares, engine->unused = batch.unused;
    counts[0] = batch.fill - fills, counts[1] = batch.close - closes;
    return 0;
}

// Orders of a queue in match order: (price or stop, id, lots) each; `rows` may be null. Returns their number.
i64 ladder_queue(const Engine* engine, i64 market, i64 queue, i64* rows) {
    const Market& at = engine->markets[market];
    const Queue& q = at.queues[queue];
    i64 n = 0;
    for (i64 tick = q.best; n < q.count;) {
        for (u32 slot = q.ladder->levels[tick - at.base].head; slot; slot = engine->links[slot].next, ++n)
            if (rows) rows[3 * n] = tick, rows[3 * n + 1] = engine->orders[slot].id, rows[3 * n + 2] = engine->orders[slot].lots;
        if (n < q.count) tick = q.ladder->next(tick - at.base, q.down) + at.base;
    }
    return n;
}
}
