"""Models on the command line: how they generate."""

from typing import Annotated

import typer

__all__ = ["CompileOption", "PrecisionOption"]

PrecisionOption = Annotated[
    str, typer.Option(help="float32, or bfloat16: faster on processors that have it, slower on others.")
]
CompileOption = Annotated[
    bool,
    typer.Option("--compile", help="Compile first, for single showers: minutes once. Needs a C++ compiler."),
]
