"""Where the outlines of torch_impl and jax_impl may differ: {(file, dotted name): reason}. A row that is not needed fails."""

EXCEPTIONS: dict[tuple[str, str], str] = {
    (
        "optim.py",
        "OptaxState",
    ): "optax hands its state to the caller; torch's optimizer keeps its own, so there is no such class",
    (
        "kernels/derivatives.py",
        "settings_for",
    ): "JAX can forbid float64 and broadcasting between ranks, which rules and derivatives need; torch has no such settings",
    (
        "kernels/derivatives.py",
        "plain_eager",
    ): "eager torch takes other ways than what is traced; JAX traces all",
    (
        "kernels/cayley.py",
        "is_near",
    ): "eager torch may look at numbers before it takes a short way; a JAX program cannot",
    (
        "kernels/derivatives.py",
        "full_digits",
    ): "torch's autocast lowers the digits of operations for a block of code; JAX has no such mode",
    (
        "kernels/elementary.py",
        "number",
    ): "eager torch multiplies by an array without axes faster than by a float; JAX compiles either",
    (
        "kernels/sums.py",
        "doubled",
    ): "torch computes float32 through float64 where the device has it; a JAX program may have none",
    (
        "kernels/sums.py",
        "in_sight",
    ): "eager torch may look at numbers before it takes a short way; a JAX program cannot",
    (
        "kernels/sums.py",
        "turned",
    ): "torch adds up short rows one by one, and columns many at a time; XLA writes its own loop",
    (
        "kernels/sums.py",
        "dots",
    ): "torch's sum of short rows is slower than a product of matrices in BLAS; XLA writes its own loop",
    (
        "kernels/correlation.py",
        "rows_by_length",
    ): "eager torch pays for each operation, so it goes from raw to the factor in one; XLA fuses them",
    (
        "kernels/correlation.py",
        "rows_by_angles",
    ): "eager torch pays for each operation, so it goes from raw to the factor in one; XLA fuses them",
    (
        "kernels/sphere.py",
        "with_length",
    ): "eager torch pays for each operation, so length and direction are one; XLA fuses them",
    (
        "kernels/sphere.py",
        "plain_across",
    ): "torch computes float32 through float64 where the device has it; a JAX program may have none",
    (
        "kernels/sphere.py",
        "plain_unit",
    ): "torch computes float32 through float64 where the device has it; a JAX program may have none",
    (
        "kernels/sums.py",
        "in_blocks",
    ): "torch computes float32 through float64 operation by operation, whose memory should stay in the cache; XLA fuses them",
    (
        "kernels/softmax.py",
        "weights_derivative",
    ): "torch computes float32 through float64 where the device has it; JAX transposes derivatives, which float64 forbids",
    (
        "kernels/sums.py",
        "parted",
    ): "torch computes float32 through float64 where the device has it; a JAX program may have none",
    (
        "kernels/derivatives.py",
        "with_both",
    ): "torch's `with_rule` calls push and pull; JAX's transposes push, and has no such rule of its own",
    (
        "kernels/elementary.py",
        "widened",
    ): "torch's conversion keeps subnormal numbers; that of XLA on the CPU takes them for 0",
    (
        "kernels/elementary.py",
        "decay_times_power",
    ): "torch's exponential keeps subnormal numbers, and eager torch looks at the numbers; JAX has neither",
    (
        "kernels/products.py",
        "small_gram",
    ): "torch multiplies many small matrices in float64 by BLAS; XLA has no fast product of these",
    (
        "kernels/sums.py",
        "sum_behind",
    ): "float32 products and sums that JAX takes through float64; torch keeps them to twice the precision in float32",
    (
        "kernels/sums.py",
        "running_product",
    ): "float32 products and sums that JAX takes through float64; torch keeps them to twice the precision in float32",
    (
        "flat.py",
        "setting",
    ): "JAX chooses float64 and the device for a block of code; torch says both at every tensor",
    (
        "bridges.py",
        "as_bijector",
    ): "TensorFlow Probability has a substrate for JAX and none for torch",
}
