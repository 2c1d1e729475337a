// Compiles the self-checks for the device.
#include "checks.h"
