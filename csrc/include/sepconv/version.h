/* The version, in its one place: the build and the Python package read it from here. */
#ifndef SEPCONV_VERSION_H
#define SEPCONV_VERSION_H

#define SEPCONV_VERSION "0.1.0"

#endif
