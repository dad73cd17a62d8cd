"""The checker accepts right answers, refuses wrong ones, and says why."""

import pytest

from minivae.study.check import mark, write_template
from minivae.study.exercises import EXERCISES
from minivae.study.runner import StudyError

RIGHT = {
    "relative_error": "((x - x_hat)**2).sum() / ((x - x.mean(0))**2).sum()",
    "constant_decoder": "x.mean(0)",
    "encode": "(x - mean) @ axes",
    "smallest_latent_dim": "int(np.argmax(np.cumsum(eigenvalues) / eigenvalues.sum()"
    " >= share - 1e-12)) + 1",
    "whiten": "z / np.sqrt(eigenvalues)",
    "dense_backward": "(x.T @ dy, dy.sum(0), dy @ W.T)",
    "another_basis": "(W_e @ A, np.linalg.inv(A) @ W_d)",
    "count_parameters": "sum(i * o + o for s in ((data_dim, *hidden, latent_dim),"
    " (latent_dim, *hidden[::-1], data_dim)) for i, o in zip(s, s[1:]))",
    "memorise": "(lambda d: np.arange(len(d))[:, None], lambda z: x[np.rint(z[:, 0]).astype(int)])",
    "fit_gaussian": "(codes.mean(0), np.cov(codes.T))",
    "kl": "0.5 * (mu**2 + np.expm1(logvar) - logvar)",
    "draw": "mu + np.exp(logvar / 2) * eps",
    "gaussian_kl": "0.5 * (np.trace(np.linalg.solve(cov1, cov0)) + (mu1 - mu0) @ np.linalg.solve("
    "cov1, mu1 - mu0) - len(mu0) + np.log(np.linalg.det(cov1) / np.linalg.det(cov0)))",
    "overlap": "np.sqrt(2 * sigma1 * sigma2 / (sigma1**2 + sigma2**2))"
    " * np.exp(-(mu1 - mu2)**2 / (4 * (sigma1**2 + sigma2**2)))",
    "rescale": "(a * mu, logvar + 2 * np.log(a))",
    "posterior_1d": "(x * w / (c + w * w), c / (c + w * w))",
    "log_marginal_1d": "-0.5 * (np.log(2 * np.pi * (w * w + c)) + x * x / (w * w + c))",
    "beta_of": "2 * c",
    "best_variances": "1 / np.diag(precision)",
    "elbo_from": "log_p - 0.5 * (q_var / post_var + (q_mu - post_mu)**2 / post_var - 1"
    " + np.log(post_var / q_var))",
    "reparameterise_gradient": "(dz.sum(0), 0.5 * np.exp(logvar / 2) * (dz * eps).sum(0))",
    "covariance_numbers": "(latent_dim * (latent_dim + 1) // 2, latent_dim)",
    "score_gradient_mu": "values[:, None] * eps / sigma",
    "vae_loss": "squared_error / (2 * c) + kl + data_dim / 2 * np.log(2 * np.pi * c)",
    "cheapest": "min(((m, j) for j, t in tables.items() for m, e in t.items() if e <= tolerance),"
    " key=lambda p: (p[1], tables[p[1]][p[0]]))",
}
WRONG = {
    "relative_error": "((x - x_hat)**2).sum() / (x**2).sum()",
    "encode": "x @ axes",
    "whiten": "z / eigenvalues",
    "dense_backward": "(x.T @ dy / len(x), dy.mean(0), dy @ W.T)",
    "kl": "0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)",
    "draw": "mu + np.exp(logvar) * eps",
    "rescale": "(a * mu, logvar + np.log(a))",
    "best_variances": "np.diag(np.linalg.inv(precision))",
    "beta_of": "1 / (2 * c)",
    "vae_loss": "squared_error / (2 * c) + kl",
    "memorise": "(lambda d: d, lambda z: z)",
    "overlap": "float('nan')",
}
CASES = [(chapter, e) for chapter, group in EXERCISES.items() for e in group]


def answer(exercise, body):
    return f"import numpy as np\n\n\ndef {exercise.signature}:\n    return {body}\n"


def marked(tmp_path, name, body):
    """The mark of one exercise answered so."""
    chapter, exercise = next((c, e) for c, e in CASES if e.name == name)
    path = tmp_path / "answers.py"
    path.write_text(answer(exercise, body), encoding="utf-8")
    return next(r for r in mark(chapter, path) if r.name == name)


@pytest.mark.parametrize(("chapter", "exercise"), CASES, ids=lambda v: getattr(v, "name", v))
def test_the_right_answer_is_accepted(chapter, exercise, tmp_path):
    path = tmp_path / "answers.py"
    path.write_text(answer(exercise, RIGHT[exercise.name]), encoding="utf-8")
    result = {m.name: m for m in mark(chapter, path)}[exercise.name]
    assert result.right, result.hint


@pytest.mark.parametrize(("chapter", "exercise"), CASES, ids=lambda v: getattr(v, "name", v))
def test_a_wrong_answer_is_refused_with_a_hint(chapter, exercise, tmp_path):
    path = tmp_path / "answers.py"
    path.write_text(answer(exercise, WRONG.get(exercise.name, "0.123")), encoding="utf-8")
    result = {m.name: m for m in mark(chapter, path)}[exercise.name]
    assert not result.right
    assert result.hint


def test_the_template_asks_for_every_function_and_is_not_overwritten(tmp_path):
    path = tmp_path / "answers.py"
    write_template("neural-networks", path)
    results = mark("neural-networks", path)
    assert [r.name for r in results] == [e.name for e in EXERCISES["neural-networks"]]
    assert all(r.hint == "not answered yet" for r in results)
    with pytest.raises(StudyError, match="there already"):
        write_template("neural-networks", path)


def test_a_file_that_does_not_run_is_said_so(tmp_path):
    path = tmp_path / "answers.py"
    path.write_text("1 +", encoding="utf-8")
    with pytest.raises(StudyError, match="does not run: SyntaxError"):
        mark("takeaways", path)
    with pytest.raises(StudyError, match="No such file"):
        mark("takeaways", tmp_path / "nowhere.py")


# What was typed, and a word of the hint that fits it and nothing else.
TYPED = [
    ("draw", "mu - np.exp(logvar / 2) * eps", "minus before ε"),
    ("draw", "mu + np.exp(logvar) * eps", "exp(logvar) is the variance"),
    ("draw", "mu + eps", "not scaled by σ"),
    ("draw", "mu + np.sin(logvar) * eps", "off by up to"),
    ("kl", "mu**2 + np.exp(logvar) - 1 - logvar", "½ is missing"),
    ("kl", "(0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)).sum(1)", "not summed"),
    ("kl", "-0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)", "never negative"),
    ("beta_of", "1 / (2 * c)", "turn it round"),
    ("rescale", "(a * mu, a**2 * logvar)", "is a logarithm"),
    ("whiten", "z / eigenvalues", "divide by their roots"),
    ("encode", "x @ axes", "mean is not subtracted"),
    ("best_variances", "np.diag(np.linalg.inv(precision))", "posterior's own variances"),
    ("vae_loss", "squared_error / (2 * c) + kl", "constant (D/2) log(2πc) is missing"),
    ("reparameterise_gradient", "(dz.sum(0), np.exp(logvar / 2) * (dz * eps).sum(0))", "½ of σ"),
    (
        "gaussian_kl",
        RIGHT["gaussian_kl"].replace(
            "det(cov1) / np.linalg.det(cov0)", "det(cov0) / np.linalg.det(cov1)"
        ),
        "upside down",
    ),
    (
        "gaussian_kl",
        RIGHT["gaussian_kl"].replace(" + np.log(np.linalg.det(cov1) / np.linalg.det(cov0))", ""),
        "determinants is missing",
    ),
    (
        "gaussian_kl",
        RIGHT["gaussian_kl"].replace("solve(cov1, cov0)", "solve(cov0, cov1)"),
        "trace is of",
    ),
    (
        "gaussian_kl",
        RIGHT["gaussian_kl"].replace("solve(cov1, mu1", "solve(cov0, mu1"),
        "Between the means",
    ),
    ("gaussian_kl", "0.3", "½ [tr"),
    ("overlap", RIGHT["overlap"].replace("np.sqrt(2 *", "(2 *"), "root in front"),
    ("overlap", RIGHT["overlap"].split(" * np.exp")[1].join(["np.exp", ""]), "factor in front"),
    ("log_marginal_1d", RIGHT["log_marginal_1d"].replace("+ c", "+ c * c"), "not squared"),
    ("elbo_from", RIGHT["elbo_from"].replace("log_p - ", "log_p + "), "subtracted"),
]


@pytest.mark.parametrize(("name", "body", "words"), TYPED, ids=[f"{n}: {w}" for n, _, w in TYPED])
def test_the_hint_fits_what_was_typed(tmp_path, name, body, words):
    result = marked(tmp_path, name, body)
    assert not result.right and words in result.hint


def test_a_basis_changed_by_the_inverse_is_right_too(tmp_path):
    assert marked(tmp_path, "another_basis", "(W_e @ np.linalg.inv(A), A @ W_d)").right


def test_an_axis_turned_round_is_right_too(tmp_path):
    assert marked(tmp_path, "whiten", "z * [1, -1, 1] / np.sqrt(eigenvalues)").right


def test_a_covariance_divided_by_n_is_right_too(tmp_path):
    assert marked(tmp_path, "fit_gaussian", "(codes.mean(0), np.cov(codes.T, bias=True))").right


def test_a_file_that_ends_itself_is_no_pass(tmp_path):
    """sys.exit is no Exception: it had ended the marking with status 0 and not one mark."""
    path = tmp_path / "answers.py"
    path.write_text("import sys\nsys.exit()\n", encoding="utf-8")
    with pytest.raises(StudyError, match="does not run: SystemExit"):
        mark("takeaways", path)
    result = marked(tmp_path, "beta_of", "exit()")
    assert not result.right and "SystemExit" in result.hint


FIRST_FOUND = (
    "next(((m, j) for j, t in tables.items()"
    " for m, e in sorted(t.items(), key=lambda p: p[1]) if e {} tolerance), ('', 0))"
)
# Nearly right: what only the shapes, the order of the keys or a tie tell from the right answer.
NEARLY = [
    ("fit_gaussian", "(codes.mean(0), np.cov(codes.T)[None])"),
    ("fit_gaussian", "(codes.mean(0), np.cov(codes.T), 0)"),
    ("whiten", "np.sqrt(50) * np.eye(3)"),
    ("whiten", "np.sqrt(50) * np.eye(50, 3)"),
    ("whiten", "(z / np.sqrt(eigenvalues)) @ np.linalg.qr(np.vander([1.0, 2.0, 4.0]))[0]"),
    ("whiten", "(z / np.sqrt(eigenvalues))[:, ::-1]"),
    ("memorise", "(lambda d: np.arange(len(d))[:, None], lambda z: x)"),
    ("dense_backward", "(x.T @ dy, dy.sum(0), dy @ W.T, 0)"),
    ("posterior_1d", "(x * w / (c + w * w), c / (c + w * w), 0)"),
    ("another_basis", "((W_e @ A)[None], np.linalg.inv(A) @ W_d)"),
    ("cheapest", FIRST_FOUND.format("<=")),
    ("cheapest", RIGHT["cheapest"].replace("<=", "<")),
    (
        "cheapest",
        "min(((m, j) for j, t in tables.items() for m, e in t.items() if e <= tolerance),"
        " key=lambda p: p[1])",
    ),
    (
        "cheapest",
        "min(((m, j) for j, t in tables.items() for m, e in t.items() if e <= tolerance),"
        " key=lambda p: (p[1], p[0]))",
    ),
]


@pytest.mark.parametrize(("name", "body"), NEARLY, ids=lambda v: v[:40])
def test_what_is_nearly_right_is_refused(tmp_path, name, body):
    result = marked(tmp_path, name, body)
    assert not result.right and result.hint and "it stopped" not in result.hint
