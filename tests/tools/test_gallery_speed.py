"""The tool that says how fast a large gallery is."""

from tools import gallery_speed


def test_it_prints_a_ratio_for_each_question(capsys):
    assert gallery_speed.main(["--few", "3", "--many", "9", "--rounds", "1"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["3", "9", "ratio"]
    assert [line[:22].strip() for line in lines] == list(gallery_speed.questions(9))
    assert all(float(line.split()[-1]) > 0 for line in lines)
