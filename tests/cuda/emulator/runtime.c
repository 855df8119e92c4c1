// A CUDA runtime without a device. Preloaded, it answers what torch asks of libcudart besides running kernels: how many devices there are,
// their memory (which is the host's), streams and events (which have always finished). EMULATED_GPUS is the number of devices.
//
// Every function gets its name by an assembler label, so that the signatures of CUDA's headers, which change between major versions,
// do not have to be repeated here. What is not listed is answered by the real libcudart, which says that there is no device.
#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANSWER(name, ...)                                              \
    cudaError_t emulated_##name(__VA_ARGS__) __asm__(#name);           \
    cudaError_t emulated_##name(__VA_ARGS__)
#define ACCEPTS(name) ANSWER(name, void) { return cudaSuccess; }
#define REFUSES(name) ANSWER(name, void) { return cudaErrorNotSupported; }
#define GIVES(name, type, value) ANSWER(name, type *result) { *result = value; return cudaSuccess; }
#define GIVES_SECOND(name, type, value) ANSWER(name, void *first, type *result) { *result = value; return cudaSuccess; }

static const size_t MEMORY = 80ull << 30;
static const int VERSION = CUDART_VERSION;
static __thread int current_device = 0;
static __thread cudaError_t last_error = cudaSuccess;

static int device_count(void) {
    const char *words = getenv("EMULATED_GPUS");
    return words ? atoi(words) : 1;
}

// Errors. A kernel cannot run: what launches one has gone past the emulation, and torch raises the sentence below.

static const char *NO_KERNELS =
    "the emulated device runs no kernels, and one was launched: an operator has gone past the emulation (tests/cuda/emulator)";

static cudaError_t no_kernel(void) {
    last_error = cudaErrorLaunchFailure;
    return last_error;
}

ANSWER(cudaGetLastError, void) {
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}
ANSWER(cudaPeekAtLastError, void) { return last_error; }
const char *emulated_error_string(cudaError_t error) __asm__("cudaGetErrorString");
const char *emulated_error_string(cudaError_t error) {
    if (error == cudaErrorLaunchFailure) return NO_KERNELS;
    if (error == cudaErrorInvalidDevice) return "invalid device ordinal";
    if (error == cudaErrorNoDevice) return "no CUDA-capable device is detected";
    return error == cudaSuccess ? "no error" : "not supported by the emulated device";
}
const char *emulated_error_name(cudaError_t error) __asm__("cudaGetErrorName");
const char *emulated_error_name(cudaError_t error) { return error == cudaSuccess ? "cudaSuccess" : "emulatedError"; }
ANSWER(cudaLaunchKernel, void) { return no_kernel(); }
ANSWER(__cudaLaunchKernel, void) { return no_kernel(); }
ANSWER(cudaLaunchKernelExC, void) { return no_kernel(); }
ANSWER(cudaGraphLaunch, void) { return no_kernel(); }

// Devices

ANSWER(cudaGetDeviceCount, int *count) {
    *count = device_count();
    return *count ? cudaSuccess : cudaErrorNoDevice;
}
ANSWER(cudaSetDevice, int device) {
    if (device < 0 || device >= device_count()) {
        last_error = cudaErrorInvalidDevice;
        return last_error;
    }
    current_device = device;
    return cudaSuccess;
}
GIVES(cudaGetDevice, int, current_device)
GIVES(cudaDriverGetVersion, int, VERSION)
GIVES(cudaRuntimeGetVersion, int, VERSION)
GIVES(cudaDeviceCanAccessPeer, int, 0)
ACCEPTS(cudaDeviceEnablePeerAccess)
ACCEPTS(cudaDeviceSynchronize)
ANSWER(cudaGetDeviceProperties, struct cudaDeviceProp *properties, int device) {
    memset(properties, 0, sizeof *properties);
    strcpy(properties->name, "emulated device");
    properties->major = 9;
    properties->multiProcessorCount = 132;
    properties->totalGlobalMem = MEMORY;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = 1024;
    properties->maxThreadsPerMultiProcessor = 2048;
    properties->regsPerMultiprocessor = 65536;
    properties->sharedMemPerBlock = 48 << 10;
    properties->sharedMemPerBlockOptin = 227 << 10;
    properties->sharedMemPerMultiprocessor = 228 << 10;
    properties->l2CacheSize = 50 << 20;
    properties->pciBusID = device;
    return cudaSuccess;
}
ANSWER(cudaGetDeviceProperties_v2, struct cudaDeviceProp *properties, int device) {  // its name in CUDA 12
    return emulated_cudaGetDeviceProperties(properties, device);
}
ANSWER(cudaDeviceGetAttribute, int *value, enum cudaDeviceAttr attribute, int device) {
    *value = attribute == cudaDevAttrComputeCapabilityMajor ? 9 : 0;
    return cudaSuccess;
}
ANSWER(cudaDeviceGetPCIBusId, char *text, int length, int device) {
    snprintf(text, length, "0000:%02x:00.0", device);
    return cudaSuccess;
}
ANSWER(cudaDeviceGetStreamPriorityRange, int *least, int *greatest) {
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}

// Memory is the host's. What is pinned is remembered: whether a copy waits depends on it.

#define LARGEST_NUMBER_OF_PINNED_BLOCKS 4096
static struct { char *start; size_t size; } pinned[LARGEST_NUMBER_OF_PINNED_BLOCKS];
static int pinned_blocks = 0;
static pthread_mutex_t pinned_lock = PTHREAD_MUTEX_INITIALIZER;

static cudaError_t allocate(void **pointer, size_t size) {
    *pointer = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);
    return *pointer ? cudaSuccess : cudaErrorMemoryAllocation;
}

static int pinned_block_of(const void *pointer) {  // call it with the lock
    for (int i = 0; i < pinned_blocks; i++)
        if ((char *)pointer >= pinned[i].start && (char *)pointer < pinned[i].start + pinned[i].size) return i;
    return -1;
}

static cudaError_t pin(void *start, size_t size) {
    pthread_mutex_lock(&pinned_lock);
    int fits = pinned_blocks < LARGEST_NUMBER_OF_PINNED_BLOCKS;
    if (fits) {
        pinned[pinned_blocks].start = start;
        pinned[pinned_blocks++].size = size;
    }
    pthread_mutex_unlock(&pinned_lock);
    return fits ? cudaSuccess : cudaErrorMemoryAllocation;
}

static cudaError_t unpin(void *start) {
    pthread_mutex_lock(&pinned_lock);
    int block = pinned_block_of(start);
    if (block >= 0) pinned[block] = pinned[--pinned_blocks];
    pthread_mutex_unlock(&pinned_lock);
    return cudaSuccess;
}

ANSWER(cudaMalloc, void **pointer, size_t size) { return allocate(pointer, size); }
ANSWER(cudaMallocAsync, void **pointer, size_t size) { return allocate(pointer, size); }
ANSWER(cudaFree, void *pointer) { free(pointer); return cudaSuccess; }
ANSWER(cudaFreeAsync, void *pointer) { free(pointer); return cudaSuccess; }
ANSWER(cudaHostAlloc, void **pointer, size_t size) {
    cudaError_t error = allocate(pointer, size);
    return error == cudaSuccess ? pin(*pointer, size) : error;
}
ANSWER(cudaFreeHost, void *pointer) { unpin(pointer); free(pointer); return cudaSuccess; }
ANSWER(cudaHostRegister, void *start, size_t size) { return pin(start, size); }
ANSWER(cudaHostUnregister, void *start) { return unpin(start); }
ANSWER(cudaPointerGetAttributes, struct cudaPointerAttributes *attributes, const void *pointer) {
    pthread_mutex_lock(&pinned_lock);
    int is_pinned = pinned_block_of(pointer) >= 0;
    pthread_mutex_unlock(&pinned_lock);
    memset(attributes, 0, sizeof *attributes);
    attributes->type = is_pinned ? cudaMemoryTypeHost : cudaMemoryTypeUnregistered;
    return cudaSuccess;
}
ANSWER(cudaMemGetInfo, size_t *free_bytes, size_t *total_bytes) {
    *free_bytes = *total_bytes = MEMORY;
    return cudaSuccess;
}
ANSWER(cudaMemcpy, void *target, const void *source, size_t size) { memcpy(target, source, size); return cudaSuccess; }
ANSWER(cudaMemcpyAsync, void *target, const void *source, size_t size) { memcpy(target, source, size); return cudaSuccess; }
ANSWER(cudaMemcpyPeerAsync, void *target, int target_device, const void *source, int source_device, size_t size) {
    memcpy(target, source, size);
    return cudaSuccess;
}
ANSWER(cudaMemset, void *target, int value, size_t size) { memset(target, value, size); return cudaSuccess; }
ANSWER(cudaMemsetAsync, void *target, int value, size_t size) { memset(target, value, size); return cudaSuccess; }
ANSWER(cudaDeviceGetDefaultMemPool, void **pool) { *pool = 0; return cudaSuccess; }
ACCEPTS(cudaMemPoolGetAttribute)
ACCEPTS(cudaMemPoolSetAttribute)
ACCEPTS(cudaMemPoolSetAccess)
ACCEPTS(cudaMemPoolTrimTo)

// Streams and events: everything has finished as soon as it is asked for. An event is the time at which it was recorded.

ANSWER(cudaStreamCreate, void **stream) { *stream = malloc(8); return cudaSuccess; }
ANSWER(cudaStreamCreateWithFlags, void **stream) { *stream = malloc(8); return cudaSuccess; }
ANSWER(cudaStreamCreateWithPriority, void **stream) { *stream = malloc(8); return cudaSuccess; }
GIVES_SECOND(cudaStreamGetPriority, int, 0)
GIVES_SECOND(cudaStreamIsCapturing, int, cudaStreamCaptureStatusNone)
GIVES_SECOND(cudaStreamGetCaptureInfo, int, cudaStreamCaptureStatusNone)
GIVES_SECOND(cudaStreamGetCaptureInfo_v2, int, cudaStreamCaptureStatusNone)
GIVES_SECOND(cudaStreamGetCaptureInfo_v3, int, cudaStreamCaptureStatusNone)
ACCEPTS(cudaStreamDestroy)
ACCEPTS(cudaStreamQuery)
ACCEPTS(cudaStreamSynchronize)
ACCEPTS(cudaStreamWaitEvent)
ACCEPTS(cudaThreadExchangeStreamCaptureMode)
ANSWER(cudaLaunchHostFunc, void *stream, void (*function)(void *), void *argument) { function(argument); return cudaSuccess; }
ANSWER(cudaStreamAddCallback, void *stream, void (*function)(void *, cudaError_t, void *), void *argument) {
    function(stream, cudaSuccess, argument);
    return cudaSuccess;
}
ANSWER(cudaEventCreate, struct timespec **event) { *event = calloc(1, sizeof **event); return cudaSuccess; }
ANSWER(cudaEventCreateWithFlags, struct timespec **event) { *event = calloc(1, sizeof **event); return cudaSuccess; }
ANSWER(cudaEventDestroy, struct timespec *event) { free(event); return cudaSuccess; }
ANSWER(cudaEventRecord, struct timespec *event) { clock_gettime(CLOCK_MONOTONIC, event); return cudaSuccess; }
ANSWER(cudaEventRecordWithFlags, struct timespec *event) { clock_gettime(CLOCK_MONOTONIC, event); return cudaSuccess; }
ACCEPTS(cudaEventQuery)
ACCEPTS(cudaEventSynchronize)
ANSWER(cudaEventElapsedTime, float *milliseconds, struct timespec *from, struct timespec *to) {
    *milliseconds = (to->tv_sec - from->tv_sec) * 1e3 + (to->tv_nsec - from->tv_nsec) * 1e-6;
    return cudaSuccess;
}

// Kernels are registered and never run; graphs, and memory that processes share, are not there.

ACCEPTS(cudaFuncSetAttribute)
ACCEPTS(cudaKernelSetAttributeForDevice)
ACCEPTS(cudaMemcpyToSymbol)
ACCEPTS(cudaProfilerStart)
ACCEPTS(cudaProfilerStop)
ACCEPTS(cudaLibraryUnload)
GIVES(cudaGetSymbolAddress, void *, 0)
GIVES(cudaLibraryLoadData, void *, 0)
GIVES(cudaLibraryGetKernel, void *, 0)
GIVES(cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags, int, 1)
ANSWER(cudaFuncGetAttributes, struct cudaFuncAttributes *attributes) { memset(attributes, 0, sizeof *attributes); return cudaSuccess; }
REFUSES(cudaStreamBeginCapture)
REFUSES(cudaStreamBeginCaptureToGraph)
REFUSES(cudaStreamEndCapture)
REFUSES(cudaGraphInstantiateWithFlags)
REFUSES(cudaIpcGetMemHandle)
REFUSES(cudaIpcGetEventHandle)
REFUSES(cudaIpcOpenMemHandle)
REFUSES(cudaIpcOpenEventHandle)

// The driver's functions, which c10 asks the runtime for. A context exists on every device.

static int nothing(void) { return 0; }
static int context_state(int device, unsigned *flags, int *active) {
    *flags = 0;
    *active = 1;
    return 0;
}
ANSWER(cudaGetDriverEntryPointByVersion, const char *name, void **function) {
    *function = strcmp(name, "cuDevicePrimaryCtxGetState") ? (void *)nothing : (void *)context_state;
    return cudaSuccess;
}
ANSWER(cudaGetDriverEntryPoint, const char *name, void **function) { return emulated_cudaGetDriverEntryPointByVersion(name, function); }
