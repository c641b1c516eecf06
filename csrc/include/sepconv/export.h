/* What the library exports. */
#ifndef SEPCONV_EXPORT_H
#define SEPCONV_EXPORT_H

#if defined(__GNUC__)
#define SEPCONV_API __attribute__((visibility("default")))
#else
#define SEPCONV_API
#endif

#endif
