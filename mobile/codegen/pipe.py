"""A net as a program that computes what it reads."""

import math

from mobile.codegen.c import c_type
from mobile.lowering.calls import Lowered, Value


def pipe(net: Lowered) -> str:
    """`pipe.c`: samples from standard input to standard output, as the numbers that `net_run` takes and gives."""
    inputs = [(f"x{k}", value) for k, value in enumerate(net.inputs)]
    outputs = [(f"y{k}", value) for k, value in enumerate(net.outputs)]
    arrays = ", ".join(name for name, _ in (*inputs, *outputs))
    reads = " && ".join(f"fread({name}, sizeof {name}, 1, stdin) == 1" for name, _ in inputs)
    writes = " || ".join(f"fwrite({name}, sizeof {name}, 1, stdout) != 1" for name, _ in outputs)
    return f"""\
/* Computes what it reads: `pipe [instructions [threads]]` takes samples from standard input, for each every input in
   turn, channels first, and writes every output. It says on the other stream which instructions it uses. */
#include "net.h"

#include <stdio.h>
#include <stdlib.h>

{_declared(inputs)}
{_declared(outputs)}

int main(int count, char **words)
{{
    if (count > 1 && !net_use(words[1])) {{
        fprintf(stderr, "usage: pipe [instructions [threads]], of instructions that this machine has\\n");
        return 2;
    }}
    if (count > 2) net_threads(atoi(words[2]));
    fprintf(stderr, "%s\\n", net_instructions());
    while ({reads}) {{
        net_run({arrays});
        if ({writes}) return 1;
    }}
    return fflush(stdout) != 0;
}}
"""


def _declared(arrays: list[tuple[str, Value]]) -> str:
    return "\n".join(
        f"static {c_type(value)} {name}[{math.prod((value.channels, value.rows, value.columns))}];"
        for name, value in arrays
    )
