"""What comes out: JSON, lines, the page; tolerances in one table; NumPy alone suffices."""

import ast
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from minivae.proof import curves, html_page, mutation_score
from minivae.proof.figures import MeasuredFigure, ladder, worst
from minivae.proof.op_cases import op_cases
from minivae.proof.tolerances import TABLE, tol
from minivae.verify import GradientError, check
from tests.verify.zoo_right import CASES as RIGHT
from tests.verify.zoo_wrong import CASES as WRONG

ROOT = Path(__file__).resolve().parents[2]


def test_json_is_strict_and_complete():
    def refuse(name):
        raise AssertionError(name)

    for name in ("half_W", "nan_b", "inf_x", "too_few"):
        report = check(*WRONG[name][:3], name=name)
        data = json.loads(report.to_json(), parse_constant=refuse)
        assert data["ok"] is False and data["faults"][0]["message"]
    row = json.loads(check(*RIGHT["dense"]).to_json())["rows"][0]
    wanted = (
        "op tensor shape dtype complex_step finite_difference adjoint taylor index hand true ulps"
    )
    assert set(wanted.split()) <= set(row)


def test_the_error_names_tensor_index_sample_and_both_values():
    with pytest.raises(GradientError) as caught:
        check(*WRONG["one_entry_x"][:3]).raise_if_failed()
    text = str(caught.value)
    assert isinstance(caught.value, AssertionError)
    fault = check(*WRONG["one_entry_x"][:3]).faults[0]
    assert "x[3, 0]" in text and "sample 3" in text
    assert f"{fault.hand:.10g}" in text and f"{fault.true:.10g}" in text


def test_a_report_that_compared_nothing_is_no_success():
    from minivae.verify import Report

    assert not Report("empty").ok
    with pytest.raises(GradientError, match="nothing was compared"):
        Report("empty").raise_if_failed()


def test_worst_of_nothing_is_no_success():
    assert not MeasuredFigure("nothing", worst(iter([])), 1.0).ok
    assert not MeasuredFigure("nan", worst(iter([0.0, float("nan")])), 1.0).ok
    assert not MeasuredFigure("nan", float("nan"), 1.0, at_least=True).ok


def test_the_ladder_reaches_its_figures():
    figures = ladder([case.run() for case in op_cases()])
    assert len(figures) == 5 and all(f.ok for f in figures)


def test_float32_adjoint():
    from minivae.proof.figures import adjoint32

    assert adjoint32().value <= tol("adjoint32")


class Balance(HTMLParser):
    """Counts opened and closed elements."""

    VOID = frozenset({"meta", "line", "rect", "polyline", "html"})

    def __init__(self):
        super().__init__()
        self.open = []
        self.outside = []

    def handle_starttag(self, tag, attrs):
        self.outside += [v for k, v in attrs if k in ("src", "href")]
        if tag not in self.VOID and tag not in ("p", "tr", "td", "th"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID and tag not in ("p", "tr", "td", "th"):
            assert self.open.pop() == tag


def test_the_page_stands_alone_and_shows_all_three_pictures():
    reports = [case.run() for case in op_cases()[:3]] + [check(*WRONG["half_W"][:3])]
    board = mutation_score.score(["relu_backward", "kl_backward"])
    text = html_page.page(reports, curves.curves(), board, [MeasuredFigure("one", 1.0, 2.0)])
    parser = Balance()
    parser.feed(text)
    assert parser.open == [] and parser.outside == [] and "<script" not in text
    assert text.count("<svg") == 3 and "complex step" in text
    assert "<p class=bad>3 of 4 passes are right" in text and "SURVIVED" not in text
    assert "did not even return" in text and "compute the same gradient" in text
    assert "class=wrong" in text and "constant factor" in text


def test_the_curves_show_what_the_lesson_says():
    c = curves.curves()
    complex_errors = [e for h, e in c.steps["complex step"] if h <= 1e-8]
    central = [e for _, e in c.steps["central"]]
    assert max(complex_errors) <= tol("complex_step") and min(central) > 1e-13
    assert central[0] > min(central) < central[-1]  # the V
    (t0, r0), (t1, r1) = c.taylor["right gradient"][6], c.taylor["right gradient"][12]
    (_, w0), (_, w1) = c.taylor["gradient off by 1 %"][12], c.taylor["gradient off by 1 %"][18]
    assert np.log(r0 / r1) / np.log(t0 / t1) == pytest.approx(2, abs=0.05)
    assert np.log2(w0 / w1) / 6 == pytest.approx(1, abs=0.05)


def test_every_tolerance_has_its_reason():
    assert all(len(t.why.split()) >= 3 for t in TABLE.values())


def test_no_tolerance_is_typed_into_the_checks_tests_of_ops_and_models():
    """Comparisons in these tests read the table: no float literal below 1e-3 stands in them."""
    for path in ("tests/ops/test_op_gradients.py", "tests/models/test_vae_gradients.py"):
        source = ast.parse((ROOT / path).read_text())
        for node in ast.walk(source):
            if isinstance(node, ast.Compare):
                for leaf in ast.walk(node):
                    small = isinstance(leaf, ast.Constant) and isinstance(leaf.value, float)
                    assert not (small and 0 < leaf.value < 1e-3), ast.unparse(node)


def test_numpy_alone_suffices():
    script = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'mpmath', 'hypothesis', 'numba', 'rich', 'typer',"
        " 'matplotlib', 'scipy', 'sklearn'}:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "import numpy as np\n"
        "from minivae.verify import check\n"
        "x = np.array([[0.3, -1.2, 2.0]])\n"
        "check(lambda x: (np.tanh(x), x), lambda dy, x: dy / np.cosh(x)**2, (x,))"
        ".raise_if_failed()\n"
        "from minivae.proof import cases, fifty_digits\nfrom minivae.verify import strategies\n"
        "for use in (lambda: strategies.points({'x': 'B D'}),"
        " lambda: fifty_digits.errors(cases.find(['relu'])[0])):\n"
        "    try:\n"
        "        use()\n"
        "    except ImportError as error:\n"
        "        print('needs' in str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["True", "True"]
