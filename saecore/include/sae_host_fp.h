/* The host's floating point, as the guest's arithmetic counts on it: rounding to nearest, numbers
 * near zero kept. A process may have set it otherwise (fesetround, a library built to flush
 * denormals): for as long as a guest runs, it is the default. */
#ifndef SAE_HOST_FP_H
#define SAE_HOST_FP_H

#if defined(__SSE2_MATH__)
typedef unsigned sae_host_fp_t;

static inline sae_host_fp_t sae_host_fp_enter(void)
{
    const unsigned found = __builtin_ia32_stmxcsr();
    if ((found & 0xFFC0) != 0x1F80) /* all but the flags: every exception is masked, no more */
        __builtin_ia32_ldmxcsr(0x1F80);
    return found;
}

static inline void sae_host_fp_leave(sae_host_fp_t found)
{
    if ((found & 0xFFC0) != 0x1F80)
        __builtin_ia32_ldmxcsr(found);
}
#else
#include <fenv.h>
typedef fenv_t sae_host_fp_t;

static inline sae_host_fp_t sae_host_fp_enter(void)
{
    fenv_t found;
    fegetenv(&found);
    fesetenv(FE_DFL_ENV);
    return found;
}

static inline void sae_host_fp_leave(sae_host_fp_t found) { fesetenv(&found); }
#endif

#endif
