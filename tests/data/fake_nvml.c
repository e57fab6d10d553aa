/* A fake of NVIDIA's management library: as much of it as `tts-server profile` asks for, of GPUs that do not exist.
 *
 * DEVICES        number of GPUs (1)
 * MIG            MIG is on
 * INSTANCES      MIG instances of each GPU (1)
 * PROCESSES      processes that compute (0)
 * EVENTS         clock event reasons (0)
 * EXCLUSIVE      compute mode: one process
 * NOT_LOADED     the kernel module is missing
 * NO_EVENTS, NO_PROCESSES, NO_MEMORY, NO_ENERGY, NO_CUDA, NO_MIG   the function is missing, as in old drivers
 * MUTE           the GPU answers no question but for its name, UUID and memory */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifndef DEVICES
#define DEVICES 1
#endif
#ifndef INSTANCES
#define INSTANCES 1
#endif
#ifndef PROCESSES
#define PROCESSES 0
#endif
#ifndef EVENTS
#define EVENTS 0
#endif

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9 };

/* A handle is a number: that of the GPU from 1, and 100 for each MIG instance of it. */
typedef uintptr_t device_t;
#define INSTANCE 100

static int is_instance(device_t device) { return device >= INSTANCE; }

static _Atomic unsigned long long looks;

#ifdef MUTE
#define TELL(what) return (void)(what), NOT_SUPPORTED
#else
#define TELL(what) return (what), SUCCESS
#endif

int nvmlInit_v2(void) {
#ifdef NOT_LOADED
    return DRIVER_NOT_LOADED;
#else
    return SUCCESS;
#endif
}

int nvmlShutdown(void) { return SUCCESS; }

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    snprintf(version, length, "570.86.15");
    return SUCCESS;
}

#ifndef NO_CUDA
int nvmlSystemGetCudaDriverVersion_v2(int *version) { return *version = 12080, SUCCESS; }
#endif

int nvmlDeviceGetCount_v2(unsigned *count) { return *count = DEVICES, SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *device) {
    if (index >= DEVICES) return INVALID_ARGUMENT;
    return *device = index + 1, SUCCESS;
}

int nvmlDeviceGetName(device_t device, char *name, unsigned length) {
    snprintf(name, length, is_instance(device) ? "Fake GPU MIG 1g.5gb" : "Fake GPU");
    return SUCCESS;
}

int nvmlDeviceGetUUID(device_t device, char *uuid, unsigned length) {
    snprintf(uuid, length, "%s-fa4e-%03u", is_instance(device) ? "MIG" : "GPU", (unsigned)device);
    return SUCCESS;
}

#ifndef NO_MEMORY
struct memory {
    unsigned version;
    unsigned long long total, reserved, free, used;
};

int nvmlDeviceGetMemoryInfo_v2(device_t device, struct memory *memory) {
    const unsigned long long mib = 1024 * 1024;
    memory->total = (is_instance(device) ? 4864 : 40536) * mib;
    memory->reserved = 0;
    memory->used = 700 * mib;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}
#endif

int nvmlDeviceGetEnforcedPowerLimit(device_t device, unsigned *milliwatts) { TELL(*milliwatts = 72000); }

/* Clocks go 1700, 1710, 1720, 1700, … */
int nvmlDeviceGetClockInfo(device_t device, int kind, unsigned *megahertz) {
    if (kind != 1 || is_instance(device)) return NOT_SUPPORTED;
    TELL(*megahertz = 1700 + 10 * (looks++ % 3));
}

#ifndef NO_EVENTS
int nvmlDeviceGetCurrentClocksThrottleReasons(device_t device, unsigned long long *reasons) { TELL(*reasons = EVENTS); }
#endif

struct utilization {
    unsigned gpu, memory;
};

int nvmlDeviceGetUtilizationRates(device_t device, struct utilization *utilization) {
#ifdef MIG
    return NOT_SUPPORTED;
#else
    TELL((utilization->memory = 20, utilization->gpu = 50));
#endif
}

#ifndef NO_ENERGY
/* A joule for each look at the clock. */
int nvmlDeviceGetTotalEnergyConsumption(device_t device, unsigned long long *millijoules) { TELL(*millijoules = 1000 * looks); }
#endif

#ifndef NO_PROCESSES
struct process {
    unsigned pid;
    unsigned long long memory;
    unsigned gpu_instance, compute_instance;
};

int nvmlDeviceGetComputeRunningProcesses_v3(device_t device, unsigned *count, struct process *processes) {
    unsigned room = *count;
    *count = PROCESSES;
    if (room < PROCESSES) return INSUFFICIENT_SIZE;
    if (processes) memset(processes, 0, PROCESSES * sizeof *processes);
    return SUCCESS;
}
#endif

int nvmlDeviceGetComputeMode(device_t device, int *mode) {
#ifdef EXCLUSIVE
    TELL(*mode = 3);
#else
    TELL(*mode = 0);
#endif
}

#ifndef NO_MIG
int nvmlDeviceGetMigMode(device_t device, unsigned *current, unsigned *pending) {
#ifdef MIG
    return *current = *pending = 1, SUCCESS;
#else
    return NOT_SUPPORTED;
#endif
}

int nvmlDeviceGetMaxMigDeviceCount(device_t device, unsigned *count) { return *count = 7, SUCCESS; }

int nvmlDeviceGetMigDeviceHandleByIndex(device_t device, unsigned index, device_t *instance) {
    if (index >= INSTANCES) return NOT_FOUND;
    return *instance = device + INSTANCE * (index + 1), SUCCESS;
}
#endif
