/* All kernels of an instruction set; then its macros are free for the next. */
static const struct qw_kernels QW_(kernels) = {
    .name = TEXT(ISA),
    .convolve = QW_(convolve),
    .depthwise = QW_(depthwise),
    .spread = QW_(spread),
    .pool = QW_(pool),
    .add = QW_(add),
    .shuffle = QW_(shuffle),
    .flatten = QW_(flatten),
    .table = QW_(table),
    .multiply = QW_(multiply),
    .fill = QW_(fill),
    .rearrange = QW_(rearrange),
    .resample = QW_(resample),
    .embed = QW_(embed),
    .norm = QW_(norm),
    .softmax = QW_(softmax),
    .product = QW_(product),
    .convolve_floats = QW_(convolve_floats),
    .depthwise_floats = QW_(depthwise_floats),
    .border_floats = QW_(border_floats),
    .pad_floats = QW_(pad_floats),
    .pool_floats = QW_(pool_floats),
    .combine_floats = QW_(combine_floats),
    .activate_floats = QW_(activate_floats),
    .slope_floats = QW_(slope_floats),
    .arrange_floats = QW_(arrange_floats),
    .resample_floats = QW_(resample_floats),
    .norm_floats = QW_(norm_floats),
    .softmax_floats = QW_(softmax_floats),
    .multiply_floats = QW_(multiply_floats),
    .embed_floats = QW_(embed_floats),
};

#undef ISA
#undef TARGET
#undef BIAS
#undef READ_LESS
#undef LANES
#undef VECTORS_4
#undef VECTORS_2
#undef VECTORS_1
#undef VECTORS_D
#undef FLOAT_PIXELS
