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
// Which words of A meet which words of B is all that matters, not their order: a sum may be taken in any order. So
// where a pixel's channels are the columns of A, thread t takes words 2t and 2t + 1 (one load of 8 bytes) as "columns"
// t and t + 4, and the rows of B are laid out to match.
//
// Source: PTX ISA, "Matrix fragments for mma.m16n8k8" and "mma.m16n8k16".

#define TF32 1  // what TENSOR_TYPE can be
#define FLOAT16 2
#define BFLOAT16 3
#define STEP 8                                 // words of A's row in one instruction
#define PER_WORD (4 / (int)sizeof(Real))       // numbers in a word
#define WARPS (THREADS / WARP)

// The instruction: D = A B + C, here with C = D = the sums. TYPES are the shape, and the types of D, A, B and C.
// asm writes it as it is; %0, %1, … stand for what follows the colons: "+f" a float that is read and written, "r" a word
// that is read.
#define MULTIPLY(TYPES)                                                                                      \
    asm("mma.sync.aligned." TYPES " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"         \
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])                                         \
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
// The same for a GPU that takes only two words of A and one of B
#define MULTIPLY_HALF(TYPES, A0, A1, B0)                                                                     \
    asm("mma.sync.aligned." TYPES " {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"                     \
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3]) : "r"(A0), "r"(A1), "r"(B0))

// sums += A B
__device__ void multiply(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if TENSOR_TYPE == TF32
    MULTIPLY("m16n8k8.row.col.f32.tf32.tf32.f32");
#elif TENSOR_TYPE == BFLOAT16
    MULTIPLY("m16n8k16.row.col.f32.bf16.bf16.f32");
#elif __CUDA_ARCH__ >= 800
    MULTIPLY("m16n8k16.row.col.f32.f16.f16.f32");
#else  // Turing, sm_75
    MULTIPLY_HALF("m16n8k8.row.col.f32.f16.f16.f32", a[0], a[1], b[0]);
    MULTIPLY_HALF("m16n8k8.row.col.f32.f16.f16.f32", a[2], a[3], b[1]);
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
