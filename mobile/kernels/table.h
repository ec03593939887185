/* All kernels of an instruction set; then its macros are free for the next. */
static const struct qw_kernels QW_(kernels) = {
    .name = TEXT(ISA),
    .convolve = QW_(convolve),
    .depthwise = QW_(depthwise),
    .spread = QW_(spread),
    .pool = QW_(pool),
    .add = QW_(add),
    .flatten = QW_(flatten),
    .convolve_floats = QW_(convolve_floats),
    .depthwise_floats = QW_(depthwise_floats),
    .pad_floats = QW_(pad_floats),
    .pool_floats = QW_(pool_floats),
    .combine_floats = QW_(combine_floats),
    .activate_floats = QW_(activate_floats),
    .flatten_floats = QW_(flatten_floats),
    .copy_floats = QW_(copy_floats),
};

#undef ISA
#undef TARGET
#undef LANES
#undef VECTORS_4
#undef VECTORS_2
#undef VECTORS_1
#undef VECTORS_D
#undef FLOAT_PIXELS
