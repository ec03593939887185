"""Names of values that can be names everywhere they go: in C and C++, and as signals of Verilog and SystemVerilog."""

import re
from collections.abc import Container, Iterable
from typing import Final

# C23 and C++23, with their alternative tokens, and what compilers and common headers define.
_C = """
alignas alignof and and_eq asm atomic auto bitand bitor bool break case catch char char16_t char32_t char8_t class
co_await co_return co_yield compl complex concept const const_cast consteval constexpr constinit continue contract
decltype default delete do double dynamic_cast else enum explicit export extern false final float for friend goto if
imaginary import inline int linux long module mutable namespace new noexcept noreturn not not_eq nullptr operator or
or_eq override private protected public register reinterpret_cast requires restrict return short signed sizeof static
static_assert static_cast struct switch template this thread_local throw true try typedef typeid typename typeof
typeof_unqual union unix unsigned using virtual void volatile wchar_t while xor xor_eq assert errno EOF I NULL
"""
# IEEE 1364-2005 and IEEE 1800-2017, annex B.
_VERILOG = """
accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin bind bins
binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos config const
constraint context continue cover covergroup coverpoint cross deassign default defparam design disable dist do edge
else end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface endmodule
endpackage endprimitive endprogram endproperty endsequence endspecify endtable endtask enum event eventually expect
export extends extern final first_match for force foreach forever fork forkjoin function generate genvar global highz0
highz1 if iff ifnone ignore_bins illegal_bins implements implies import incdir include initial inout input inside
instance int integer interconnect interface intersect join join_any join_none large let liblist library local
localparam logic longint macromodule matches medium modport module nand negedge nettype new nexttime nmos nor
noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge primitive priority program
property protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase
randsequence rcmos real realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1
s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled signed small
soft solve specify specparam static string strong strong0 strong1 struct super supply0 supply1 sync_accept_on
sync_reject_on table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand
trior trireg type typedef union unique unique0 unsigned until until_with untyped use uwire var vectored virtual void
wait wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""

C_WORDS: Final = frozenset(_C.split())
VERILOG_WORDS: Final = frozenset(_VERILOG.split())
_STANDARD = re.compile(
    r"u?int(_least|_fast)?\d+_t|u?int(ptr|max)_t|U?INT\w*_(MIN|MAX|C)|(SIZE|PTRDIFF|WCHAR|WINT|SIG_ATOMIC)_(MIN|MAX)|__\w*",
    re.ASCII,
)
"""Types and macros of `stdint.h`, and the beginning of what compilers define by themselves."""


def is_word_of_c(name: str) -> bool:
    """Whether a name is a word of C or C++, or of what the header `stdint.h` defines.

    >>> is_word_of_c("int"), is_word_of_c("class"), is_word_of_c("int8_t"), is_word_of_c("wire")
    (True, True, True, False)
    """
    return name in C_WORDS or bool(_STANDARD.fullmatch(name))


def is_reserved(name: str) -> bool:
    """Whether a name is a word of C, C++, Verilog or SystemVerilog.

    >>> is_reserved("int"), is_reserved("always_ff"), is_reserved("sum")
    (True, True, False)
    """
    return name in VERILOG_WORDS or is_word_of_c(name)


def require_names(names: Iterable[str]) -> None:
    """Raises `ValueError` for the first name that cannot be one everywhere a net is written."""
    for name in names:
        if is_reserved(name):
            raise ValueError(f"the value {name!r} has a word of C, C++ or Verilog as its name: rename it")


def value_name(text: str, taken: Container[str] = ()) -> str:
    """A name for a value after any text, distinct from those `taken`: letters, digits and underscores.

    >>> value_name("/conv/Mat.Mul"), value_name("int"), value_name("7"), value_name("a.b", {"a_b"})
    ('_conv_Mat_Mul', 'v_int', 'v_7', 'a_b_')
    """
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    name = f"v_{name}" if is_reserved(name) or not name.isidentifier() else name
    while name in taken:
        name += "_"
    return name
