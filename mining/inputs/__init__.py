"""Files that users bring: streamed as blocks of whole lines, cut into columns by kernels."""
