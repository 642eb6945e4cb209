"""The report: summary, site and README are written anew."""


def test_report_rewrites_summary_site_and_readme(call, checkout, results):
    readme = checkout / "README.md"
    readme.write_text("before\n<!-- claims:begin -->\noutdated\n<!-- claims:end -->\nafter\n")
    assert call("report").status == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "outdated" not in text
    assert (results / "SUMMARY.md").exists() and (results / "index.html").exists()
    readme.write_text("no markers")
    said = call("report")
    assert (
        said.status == 2
        and "<!-- claims:begin -->" in said.err
        and readme.read_text(encoding="utf-8") == "no markers"
    )
