"""What results show of themselves in consoles and notebooks."""

import polymodal as pm
from polymodal.utils.overview import Overview
from tests.support.tables import tiny, write_houses


def test_texts_are_aligned_and_html_is_escaped():
    shown = Overview("A <b>", ("name", "n"), (("x", "1"), ("longer", "2")), ("done",))
    assert shown.text() == "A <b>\nname    n\nx       1\nlonger  2\ndone"
    assert "&lt;b&gt;" in shown.html() and "<td>longer</td>" in shown.html() and "<b>" not in shown.html()
    assert Overview("alone").text() == "alone" and "<table>" not in Overview("alone").html()


def test_checks_runs_and_several_fits_show_their_content(tmp_path):
    table = write_houses(tmp_path, rows=30)
    fits = tiny("note")
    report = pm.check(table, target="price", inputs=["note"])
    assert "price" in repr(report) and "A fit would start." in repr(report)
    assert "<td>note</td>" in report._repr_html_()
    run = pm.fit(table, target="price", inputs=["note"], output=tmp_path / "run", settings=fits)
    for shown in (repr(run), repr(pm.load(tmp_path / "run"))):
        assert "reads note (text)" in shown and "predicts price (regression)" in shown
        assert "mae" in shown and str(tmp_path / "run") in shown
    assert "<td>mae</td>" in run._repr_html_()
    repeats = pm.fit_folds(
        table, target="price", inputs=["note"], seeds=2, output=tmp_path / "seeds", settings=fits
    )
    assert "2 seeds" in repr(repeats) and " to " in repr(repeats)
    assert "2 fits" in repr(repeats.fits) and repeats.fits.best in repr(repeats.fits)
