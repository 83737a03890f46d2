// How a tile of an image gets into shared memory: through registers, or with cp.async.
//
// Through registers, a thread reads some numbers of the image, waits until they arrive, and writes them to the tile. On
// the way they can be masked by a ReLU, summed for gb, and rounded. Meanwhile only other blocks on the multiprocessor
// can multiply.
//
// cp.async (sm_80 and later) copies 4, 8 or 16 bytes from memory to shared memory without a register, and the thread
// goes on at once. What it has started is there after cp.async.wait_all, for this thread; for the others after the
// barrier that follows, __syncthreads. So a block with two buffers multiplies one tile while the next one arrives:
//
//     buffer 0    copy tile 0 │ multiply tile 0 │ copy tile 2     │ multiply tile 2 │ …
//     buffer 1                │ copy tile 1     │ multiply tile 1 │ copy tile 3     │ …
//                             ↑                 ↑                 ↑
//                 Each thread waits for its own copies, then all wait for each other. Now the next tile is whole, and
//                 nobody reads the other buffer any more: a new copy may go there. One barrier is enough for both.
//
// The macros: ASYNC is 1 where the kernel copies x with cp.async, else 0; BUFFERS is 1 or 2.
//
// Source: PTX ISA, "Data Movement and Conversion Instructions: cp.async".

// SIZE neighboring numbers, read and written at a time.
template <int SIZE, class Number = Real> struct alignas(SIZE * sizeof(Number)) Neighbors { Number at[SIZE]; };

// Copying of TALL x WIDE pixels of an image of H x W into shared memory, where they lie APART words from each other:
// `count` channels of each, from c0 on, then zeros up to WORDS words; zeros outside the image too. (top, left) is the
// tile's first pixel. A thread copies SIZE numbers at a time, in each pixel the same ones.
template <int TALL, int WIDE, int WORDS, int APART, int SIZE> struct TileCopy {
    using Several = Neighbors<SIZE>;

    // Calls copy(pixel, c) for all pixels of the tile, and the first of their channels, that are this thread's.
    template <class Copy> static __device__ void for_own(Copy copy) {
        constexpr int VECTORS = WORDS * PER_WORD / SIZE, LANES = THREADS / VECTORS;
        const int c = threadIdx.x % VECTORS * SIZE;
        if (threadIdx.x >= LANES * VECTORS) return;
#pragma unroll 2  // through registers, with all threads of a multiprocessor, some 32 KB are then on their way at a time
        for (int pixel = threadIdx.x / VECTORS; pixel < TALL * WIDE; pixel += LANES) copy(pixel, c);
    }

    // Where a thread's numbers lie in the tile
    static __device__ Several* place(Real* tile, int pixel, int c) {
        return reinterpret_cast<Several*>(tile + pixel * APART * PER_WORD + c);
    }

    // Through registers, rounded. Where `output` is given, an image of as many channels, it is that of a ReLU, and
    // numbers count as 0 where it is not positive. add(row, column, channel, numbers) may add to what has been read of
    // the image, before the ReLU; seen(row, column, numbers) is shown what comes of it, with the row and column of the
    // tile, before it is rounded.
    template <int SECOND, class Add, class Seen>
    static __device__ void through_registers(Real* tile, Images<const Real, SECOND> image, const Real* output, int H,
                                             int W, int c0, int count, int top, int left, Add add, Seen seen) {
        for_own([&](int pixel, int c) {
            const int p = top + pixel / WIDE, q = left + pixel % WIDE;
            Several read = {};
            if (p >= 0 && p < H && q >= 0 && q < W && c < count) {
                const long long at = (long long)p * W + q;
                read = *reinterpret_cast<const Several*>(image.at(at, c0 + c));
                add(p, q, c0 + c, read);
                if (output) {
                    const Images<const Real, 0> outputs = {output, nullptr, image.channels};
                    const Several y = *reinterpret_cast<const Several*>(outputs.at(at, c0 + c));
#pragma unroll
                    for (int u = 0; u < SIZE; ++u)
                        if (!((float)y.at[u] > 0)) read.at[u] = Real(0.0f);
                }
                seen(pixel / WIDE, pixel % WIDE, read);
            }
            round(read);
            *place(tile, pixel, c) = read;
        });
    }

    static __device__ void round(Several& numbers) {
#pragma unroll
        for (int u = 0; u < SIZE; ++u) numbers.at[u] = as_factor(numbers.at[u]);
    }

#if ASYNC
    // Starts to copy `bytes` of the numbers at `from`; the rest become 0.
    static __device__ void copy_behind(Several* to, const Real* from, unsigned bytes) {
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;"
                     ::"r"((unsigned)__cvta_generic_to_shared(to)), "l"(from), "n"(sizeof(Several)), "r"(bytes)
                     : "memory");
    }
#endif

    // Starts to copy the numbers as they are; finish() has to follow, then a barrier. Without cp.async this is all
    // there is to do.
    template <int SECOND>
    static __device__ void start(Real* tile, Images<const Real, SECOND> image, int H, int W, int c0, int count, int top,
                                 int left) {
#if ASYNC
        for_own([&](int pixel, int c) {
            const int p = top + pixel / WIDE, q = left + pixel % WIDE;
            const bool there = p >= 0 && p < H && q >= 0 && q < W && c < count;
            const Real* from = there ? image.at((long long)p * W + q, c0 + c) : image.first;
            copy_behind(place(tile, pixel, c), from, there ? sizeof(Several) : 0);
        });
#else
        through_registers(tile, image, nullptr, H, W, c0, count, top, left, [](int, int, int, auto&) {},
                          [](int, int, const auto&) {});
#endif
    }

    // Waits until all that this thread has started to copy is there, and rounds it.
    static __device__ void finish(Real* tile) {
#if ASYNC
        asm volatile("cp.async.wait_all;" ::: "memory");
#if TENSOR_TYPE == TF32
        for_own([&](int pixel, int c) {
            Several numbers = *place(tile, pixel, c);
            round(numbers);
            *place(tile, pixel, c) = numbers;
        });
#endif
#endif
    }
};

