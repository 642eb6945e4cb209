"""What every page of the report is made of: its head, its style, and words from files made safe."""

import re
from collections.abc import Iterable
from html import escape

STYLE = """:root{color-scheme:light dark;--ink:#1b1b1b;--paper:#fff;--line:#d5d5d5;--soft:#f4f4f4;
--good:#00664b;--part:#00568a;--bad:#a34700;--open:#595959}
@media (prefers-color-scheme:dark){:root{--ink:#e8e8e8;--paper:#16181b;--line:#3a3d42;--soft:#202328;
--good:#4fd1a5;--part:#7cc4f2;--bad:#ff9d5c;--open:#adadad}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:76rem;
margin:1.5rem auto;padding:0 1rem;overflow-wrap:break-word}
main.claim{max-width:52rem}
a{color:var(--part)}:focus-visible{outline:3px solid var(--part);outline-offset:2px}
h1{line-height:1.25}h2{margin-top:2rem;line-height:1.3}
table{border-collapse:collapse;width:100%;margin:1rem 0}table.claims{font-size:.88em}
th,td{text-align:left;vertical-align:top;padding:.45rem .5rem;border-top:1px solid var(--line)}
thead th{border:0;border-bottom:2px solid var(--line)}
tbody th{font-weight:600}table.claims tbody th{min-width:12rem}
thead button{font:inherit;font-weight:600;color:inherit;background:none;border:0;padding:0;
cursor:pointer;text-align:left}
[aria-sort=ascending] button::after{content:" ↑"}[aria-sort=descending] button::after{content:" ↓"}
.number{font-variant-numeric:tabular-nums}
.verdict{font-weight:600}
.reproduced{color:var(--good)}.partially-reproduced{color:var(--part)}.not-reproduced{color:var(--bad)}
.underpowered,.uninformative,.not-evaluated,.mark{color:var(--open)}
.mark{font-weight:400;font-size:.85em;display:block}
form{display:flex;flex-wrap:wrap;gap:.6rem 1rem;align-items:end;
background:var(--soft);padding:.7rem;border-radius:.4rem}
form label{display:flex;flex-direction:column;font-size:.85em}
select,input{font:inherit;max-width:16rem;color:inherit;
background:var(--paper);border:1px solid var(--open);padding:.2rem}
[hidden]{display:none!important}
details{background:var(--soft);border-radius:.4rem;padding:.3rem .8rem;margin:.5rem 0}summary{cursor:pointer}
figure{margin:1.2rem 0}figure img{max-width:100%;height:auto;background:#fff;border-radius:.3rem}
figcaption{color:var(--open)}
.plot{width:100%;max-width:40rem;height:auto;font-size:12.5px;display:block}
.plot text{fill:var(--ink);paint-order:stroke;stroke:var(--paper);stroke-width:8px;stroke-linejoin:round}
.plot .quiet{fill:var(--open)}
.plot path{stroke:var(--ink);stroke-width:2;fill:none}.plot circle{fill:var(--ink)}
.plot .level{stroke:var(--open);stroke-width:1;stroke-dasharray:4 3}
.plot.narrow{display:none}@media (max-width:30rem){.plot{display:none}.plot.narrow{display:block}}
.forest{width:100%;max-width:18rem;min-width:10rem;height:auto;display:block;color:var(--open)}
.forest path{fill:none;stroke:currentColor;stroke-width:2}.forest circle{fill:currentColor}
.forest.reproduced{color:var(--good)}.forest.partially-reproduced{color:var(--part)}
.forest.not-reproduced{color:var(--bad)}
.forest .axis,.forest .level{stroke:var(--open);stroke-width:1}.forest .level{stroke-dasharray:2 3}
.forest .reported{stroke:var(--ink);stroke-width:1.5}
.notebook details{padding:.1rem .5rem}.notebook summary{color:var(--open);overflow:hidden;white-space:nowrap;
text-overflow:ellipsis}.notebook details pre{font-size:.85em}
.wide{overflow-x:auto}.wide table{width:auto;font-size:.9em}.math{font-family:serif;font-style:italic}
pre{white-space:pre-wrap;background:var(--soft);padding:.6rem;border-radius:.4rem}
blockquote{margin:.5rem 0;padding-left:.8rem;border-left:4px solid var(--line);font-size:1.1em}
dt{font-weight:600;margin-top:.7rem}dd{margin:0}
@media (max-width:74rem){table.claims thead{position:absolute;left:-99rem}
table.claims,table.claims tbody,table.claims tr,table.claims td,table.claims th{display:block}
table.claims tr{border-top:2px solid var(--line);padding:.6rem 0}
table.claims td,table.claims th{border:0;padding:.1rem 0}
table.claims td[data-name]::before{content:attr(data-name) ": ";color:var(--open);font-weight:400}}
@media print{.notebook details,form,nav,thead button::after{display:none}
body{max-width:none;margin:0;font-size:11pt}
tr,figure,dd{break-inside:avoid}a{color:inherit}}
"""

SIGNS = {
    "reproduced": "✓",
    "partially reproduced": "◐",
    "not reproduced": "✗",
    "underpowered": "?",
    "uninformative": "–",
    "not evaluated": "·",
}
"""A sign before each verdict, so that colour never carries it alone."""


def document(title: str, style: str, body: str) -> str:
    """A whole page; ``style`` is what its head holds for that, ``title`` is escaped here and ``body`` not."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n{style}\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def verdict(status: str, marks: Iterable[str] = ()) -> str:
    """A status with its sign, and the marks that go with it."""
    notes = "".join(f'<span class="mark">{escape(mark)}</span>' for mark in marks)
    name = status.replace(" ", "-")
    return (
        f'<span class="verdict {name}"><span aria-hidden="true">{SIGNS[status]}</span> {status}</span>{notes}'
    )


def bullets(items: Iterable[str]) -> str:
    """A list of texts, each escaped."""
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def inline(markdown: str) -> str:
    """A sentence of Markdown, of which links and code are known; all else is text."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(markdown, quote=False))
    return re.sub(r"\[([^\]]+)\]\(([^)\s\"]+)\)", r'<a href="\2">\1</a>', text)
