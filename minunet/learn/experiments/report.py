"""All experiments in one HTML file: the question first, then what was measured. It loads nothing and runs no script.

The answer is behind a <details>, which the browser opens and closes. Once it is open, the guess that was right is
marked, and one that was chosen and is not: style sheets can ask for both (`:has`, `:checked`).
"""

import base64
import html
import io
import re
from collections.abc import Mapping

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from minunet.learn.experiments.experiment import Experiment, Result

STYLE = """
:root { color-scheme: light dark; --ink: #222; --faint: #666; --page: #f4f4f1; --card: #fff; --line: #d9d9d4;
        --accent: #1f5fa8; --right: #1d6b3c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e3; --faint: #a3a3a0; --page: #17181a; --card: #212326; --line: #3b3d41; --accent: #8ab8ee;
          --right: #86d3a3; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 52rem; padding: 1rem; background: var(--page); color: var(--ink);
       font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 1rem 0 .5rem; }
h2 { font-size: .95rem; margin: 0; color: var(--faint); font-weight: 600; }
a { color: var(--accent); }
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
article { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem 1.2rem;
          margin: 1.2rem 0; }
.question { font-size: 1.15rem; line-height: 1.4; margin: .3rem 0 .6rem; }
fieldset { border: 0; padding: 0; margin: 0; }
legend { padding: 0; color: var(--faint); font-size: .9rem; }
label { display: flex; gap: .6rem; align-items: baseline; padding: .35rem 0; cursor: pointer; }
input { accent-color: var(--accent); flex: none; }
summary { cursor: pointer; color: var(--accent); font-weight: 600; padding: .6rem 0 .2rem; }
article:has(details[open]) .right { color: var(--right); font-weight: 600; }
article:has(details[open]) .right::after { content: "✓"; }
article:has(details[open]) label:not(.right):has(:checked) { text-decoration: line-through; color: var(--faint); }
.measured { font-size: 1.05rem; }
.wide { overflow-x: auto; }
img { display: block; width: 100%; min-width: 38rem; height: auto; margin: 1rem 0; border-radius: .3rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; margin: .8rem 0; }
th, td { text-align: right; padding: .25rem .8rem; border-bottom: 1px solid var(--line); }
td { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
pre { overflow-x: auto; font-size: .9rem; }
code { font-size: .92em; overflow-wrap: anywhere; }
"""

CODE = re.compile(r"`([^`]+)`|\b((?:minunet|examples|tests)/[\w/]+\.\w+)")  # `minunet train`, minunet/optim.py


def report_html(experiments: Mapping[str, Experiment], results: Mapping[str, Result], seed: int) -> str:
    """Returns the page. results: {name: Result} of the experiments that have been measured, all of them or some."""
    links = "".join(f'<li><a href="#{name}">{name}</a></li>' for name in results)
    articles = "\n".join(_article(experiments[name], result) for name, result in results.items())
    left = [name for name in experiments if name not in results]
    missing = f"<p>Not measured so far: {', '.join(left)}.</p>" if left else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Experiments with a U-Net</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>Experiments with a U-Net</h1>
<p>Read the question, choose a guess, then open the answer. All of it was measured with minunet, with the seed {seed};
<code>minunet experiment NAME --seed {seed}</code> repeats one.</p>
<nav aria-label="Experiments"><ul>{links}</ul></nav>
</header>
<main>
{articles}
{missing}
</main>
</body>
</html>
"""


def png(figure: Figure) -> bytes:
    """Returns the figure as a PNG file."""
    content = io.BytesIO()
    FigureCanvasAgg(figure).print_png(content)
    return content.getvalue()


def _article(experiment: Experiment, result: Result) -> str:
    name = html.escape(experiment.name)
    choices = "".join(
        f'<label{" class=right" if number == result.answer else ""}><input type="radio" name="{name}">'
        f"<span>{html.escape(guess)}</span></label>"
        for number, guess in enumerate(experiment.guesses)
    )
    explanation = "".join(map(_paragraph, result.explanation.strip("\n").split("\n\n")))
    picture = base64.b64encode(png(result.figure)).decode()
    return f"""<article id="{name}">
<h2>{name}</h2>
<p class="question">{html.escape(experiment.question)}</p>
<fieldset><legend>Your guess</legend>{choices}</fieldset>
<details>
<summary>What was measured</summary>
<p class="measured">{html.escape(result.measured)}</p>
<p>So it is: <strong>{html.escape(experiment.guesses[result.answer])}</strong></p>
<div class="wide"><img alt="{html.escape(result.measured)}" src="data:image/png;base64,{picture}"></div>
{_table(result)}
{explanation}
</details>
</article>"""


def _table(result: Result) -> str:
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in result.header)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in result.rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _paragraph(text: str) -> str:
    """A paragraph; an indented one, such as a formula, keeps its lines. Names of files and `words` are set as code."""
    if text.startswith(" "):
        return f"<pre>{html.escape(text)}</pre>"
    marked = CODE.sub(lambda found: f"<code>{found[1] or found[2]}</code>", html.escape(text))
    return f"<p>{marked}</p>"
