"""What can be trained, what suits a project, and names as one would type them."""

from tests.cli.conftest import CommandLine


def test_methods_say_what_suits_a_project_and_why(cli: CommandLine, tiny_base, heads):
    cli("project", "create", "heads", "--base", tiny_base)
    nothing = cli("methods", "--for", "heads")
    assert nothing.document["methods"] == []
    assert "no pictures yet: add at least 3" in nothing.document["reasons"][0]
    cli("dataset", "add", "heads", heads)
    assert cli("methods", "--for", "heads").document["methods"] == ["dreambooth"]
    said = cli("methods", "--for", "heads", as_json=False).out.splitlines()
    assert said[0] == "Train dreambooth."
    assert all(line.endswith(".") for line in said)
    gone = cli("methods", "--for", "nobody")
    assert (gone.code, gone.document) == (2, {"error": "There is no project called 'nobody'."})


def test_every_method_is_listed_with_its_use_its_cost_and_its_settings(cli: CommandLine):
    said = cli("methods", as_json=False).out
    assert "full-finetune (for comparison): Tunes every weight" in said
    assert "For 3 to 20 pictures. Some: it draws pictures of the class first" in said
    rows = {row["name"]: row for row in cli("methods").document["methods"]}
    assert [name for name, row in rows.items() if row["is_baseline"]] == [
        "full-finetune",
        "scratch",
    ]


def test_a_method_may_be_typed_with_underscores(cli: CommandLine, tiny_base, heads):
    cli("project", "create", "heads", "--base", tiny_base)
    cli("dataset", "add", "heads", heads)
    cli("train", "heads", "full_finetune", "--set", "steps=3")
    cli("train", "heads", "custom_diffusion", "--set", "class_noun=head")
    kinds = [job["kind"] for job in cli("job", "list", "heads").document["jobs"]]
    assert kinds == ["full-finetune", "custom-diffusion"]
