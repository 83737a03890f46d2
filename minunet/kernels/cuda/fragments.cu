// Tensor cores, the part of a GPU that multiplies small matrices: what they take, and how it gets there.
//
// A warp, 32 threads in step, multiplies a 16 x 8 matrix A by an 8 x 8 matrix B and adds the result to 16 x 8 sums, all
// in one instruction (mma.sync). No thread holds a whole matrix: each holds a few elements in its own registers, its
// "fragment". With lane = 0..31, the number of a thread in its warp, g = lane / 4 and t = lane % 4:
//
//            A, 4 words                    B, 2 words               sums, 4 floats
//            columns t      t + 4          columns g                columns 2t   2t+1
//      row g       a0       a2       row t       b0            row g       c0     c1
//      row g + 8   a1       a3       row t + 4   b1            row g + 8   c2     c3
//
// For example lane 13 (g = 3, t = 1) holds A[3][1], A[11][1], A[3][5], A[11][5], then B[1][3], B[5][3], and the sums in
// rows 3 and 11, columns 2 and 3.
//
// A word has 32 bits. It holds one number of tf32, a float rounded to 11 significant bits, or two neighbors of 16 bits;
// then A is 16 x 16 and B 16 x 8, and "column t" stands for columns 2t and 2t + 1 of A, "row t" for those rows of B. So
// the kernels count in words, and the same code multiplies either. STEP words of a pixel enter one instruction.
//
// Which words of A meet which words of B is all that matters, not their order: a sum may be taken in any order. So where
// a pixel's channels are the columns of A, thread t takes words 2t and 2t + 1 (one load of 8 bytes) as "columns" t and
// t + 4, and the rows of B are laid out to match.
//
// Source: PTX ISA, "Matrix fragments for mma.m16n8k8" and "mma.m16n8k16".

#define TF32 1  // what TENSOR_TYPE can be
#define FLOAT16 2
#define BFLOAT16 3
#define STEP 8                                 // words of A's row in one instruction
#define PER_WORD (4 / (int)sizeof(Real))       // numbers in a word
#define WARPS (THREADS / WARP)

// sums += A B
__device__ void multiply(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if TENSOR_TYPE == TF32
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif TENSOR_TYPE == BFLOAT16
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else  // Turing takes half as many columns of A at a time
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3]) : "r"(a[0]), "r"(a[1]), "r"(b[0]));
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3]) : "r"(a[2]), "r"(a[3]), "r"(b[1]));
#endif
}

// The number as a factor: a float is rounded to tf32, the nearest one. (Left alone, its last 13 bits would be cut off.)
__device__ Real as_factor(Real value) {
#if TENSOR_TYPE == TF32
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return __uint_as_float(bits);
#else
    return value;
#endif
}

// SIZE neighboring numbers, read and written at a time.
template <int SIZE> struct alignas(SIZE * sizeof(Real)) Neighbors { Real at[SIZE]; };

// Copies TALL x WIDE pixels of an image into shared memory, APART words from each other: `count` numbers of the `channels` that
// a pixel has there, from the one on that `image` points to, then zeros up to WORDS words; zeros outside the image too.
// Where `output` is given, it is that of a ReLU, and numbers count as 0 where it is not positive. A thread reads SIZE
// numbers at a time, in each pixel the same ones, and adds to `sum` what it has read, before the rounding.
template <int TALL, int WIDE, int WORDS, int APART, int SIZE>
__device__ void copy_tile(Real* tile, const Real* image, const Real* output, int H, int W, int channels, int count,
                          int top, int left, float (&sum)[SIZE]) {
    constexpr int PARTS = WORDS * PER_WORD / SIZE, LANES = THREADS / PARTS;
    const int c = threadIdx.x % PARTS * SIZE;
    if (threadIdx.x >= LANES * PARTS) return;
#pragma unroll 4
    for (int pixel = threadIdx.x / PARTS; pixel < TALL * WIDE; pixel += LANES) {
        const int p = top + pixel / WIDE, q = left + pixel % WIDE;
        Neighbors<SIZE> read = {};
        if (p >= 0 && p < H && q >= 0 && q < W && c < count) {
            const long long at = ((long long)p * W + q) * channels + c;
            read = *reinterpret_cast<const Neighbors<SIZE>*>(image + at);
            if (output) {
                const Neighbors<SIZE> y = *reinterpret_cast<const Neighbors<SIZE>*>(output + at);
#pragma unroll
                for (int u = 0; u < SIZE; ++u)
                    if (!((float)y.at[u] > 0)) read.at[u] = Real(0.0f);
            }
        }
#pragma unroll
        for (int u = 0; u < SIZE; ++u) {
            sum[u] += (float)read.at[u];
            read.at[u] = as_factor(read.at[u]);
        }
        *reinterpret_cast<Neighbors<SIZE>*>(tile + pixel * APART * PER_WORD + c) = read;
    }
}
