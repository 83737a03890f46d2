// The optimizers' rules (minunet/optim.py has the equations), for up to TENSORS parameters in one launch. blockIdx.y is
// the parameter; `tensors` says where it, its gradient and its optimizer state lie in memory, and how many numbers they
// have. The hyperparameters are read from memory, where `store` has put them: so a recorded launch
// (minunet/cuda_graph.py) can be replayed with others. For the same reason `skip`, where it is given, is read from
// memory: if it is true, nothing changes.

struct Tensors {
    Real* w[TENSORS];
    const Real* g[TENSORS];
    Real* m[TENSORS];
    Real* v[TENSORS];
    long long size[TENSORS];
};

#define FOR_EACH_ELEMENT                                                                                      \
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < tensors.size[blockIdx.y];        \
         i += (long long)gridDim.x * blockDim.x)

extern "C" __global__ void sgd(Tensors tensors, const Real* numbers, const bool* skip) {
    if (skip && *skip) return;
    const Real lr = numbers[0];
    Real* w = tensors.w[blockIdx.y];
    const Real* g = tensors.g[blockIdx.y];
    FOR_EACH_ELEMENT w[i] -= lr * g[i];
}

extern "C" __global__ void sgd_with_momentum(Tensors tensors, const Real* numbers, const bool* skip) {
    if (skip && *skip) return;
    const Real lr = numbers[0], mu = numbers[1];
    Real *w = tensors.w[blockIdx.y], *m = tensors.m[blockIdx.y];
    const Real* g = tensors.g[blockIdx.y];
    FOR_EACH_ELEMENT {
        m[i] = mu * m[i] - lr * g[i];
        w[i] += m[i];
    }
}

extern "C" __global__ void rmsprop(Tensors tensors, const Real* numbers, const bool* skip) {
    if (skip && *skip) return;
    const Real lr = numbers[0], rho = numbers[1], epsilon = numbers[2];
    Real *w = tensors.w[blockIdx.y], *v = tensors.m[blockIdx.y];
    const Real* g = tensors.g[blockIdx.y];
    FOR_EACH_ELEMENT {
        v[i] = rho * v[i] + (1 - rho) * g[i] * g[i];
        w[i] -= lr * g[i] / sqrt(v[i] + epsilon);
    }
}

extern "C" __global__ void adam(Tensors tensors, const Real* numbers, const bool* skip) {
    if (skip && *skip) return;
    const Real rate = numbers[0], beta_1 = numbers[1], beta_2 = numbers[2], epsilon = numbers[3];
    Real *w = tensors.w[blockIdx.y], *m = tensors.m[blockIdx.y], *v = tensors.v[blockIdx.y];
    const Real* g = tensors.g[blockIdx.y];
    FOR_EACH_ELEMENT {
        m[i] += (1 - beta_1) * (g[i] - m[i]);
        v[i] += (1 - beta_2) * (g[i] * g[i] - v[i]);
        w[i] -= rate * m[i] / (sqrt(v[i]) + epsilon);
    }
}

extern "C" __global__ void decay(Tensors tensors, const Real* numbers, const bool* skip) {
    if (skip && *skip) return;
    const Real factor = numbers[0];
    Real* w = tensors.w[blockIdx.y];
    FOR_EACH_ELEMENT w[i] *= factor;
}

// w ← g, which is how many small arrays become parts of a large one
extern "C" __global__ void copy(Tensors tensors) {
    Real* w = tensors.w[blockIdx.y];
    const Real* g = tensors.g[blockIdx.y];
    FOR_EACH_ELEMENT w[i] = g[i];
}

extern "C" __global__ void store(Real* numbers, Real a, Real b, Real c, Real d, Real e) {
    if (threadIdx.x > 0) return;
    numbers[0] = a;
    numbers[1] = b;
    numbers[2] = c;
    numbers[3] = d;
    numbers[4] = e;
}
