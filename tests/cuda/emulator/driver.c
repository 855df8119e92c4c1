// The functions of the CUDA driver (libcuda.so.1) that torch looks up by name when a context begins.
int cuInit(unsigned flags) { return 0; }
int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { *flags = 0; *active = 1; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = (void *)1; return 0; }
int cuCtxGetCurrent(void **context) { *context = (void *)1; return 0; }
int cuCtxSetCurrent(void *context) { return 0; }
int cuGetErrorString(int error, const char **text) { *text = "emulated driver"; return 0; }
int cuModuleLoadData(void **module, const void *image) { return 801; }  // CUDA_ERROR_NOT_SUPPORTED
