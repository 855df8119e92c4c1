import pytest

from genrev_cli.files.names import png_names


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["me.jpg", "you.PNG"], ["me.png", "you.png"]),
        (["trip/day 1/me.jpg", "me"], ["trip-day 1-me.png", "me.png"]),
        (["me.jpg", "me.png", "ME.gif", "me (2).jpg"], ["me.png", "me (2).png", "ME (3).png", "me (2) (2).png"]),
        (["../../etc/passwd", "/abs/a.png", "C:\\b\\c.png"], ["etc-passwd.png", "abs-a.png", "C_-b-c.png"]),
        ([".hidden.png", "", "a\nb\x1b.png", "été.jpg"], ["hidden.png", "picture.png", "a_b_.png", "été.png"]),
        (["ü" * 300], ["ü" * 100 + ".png"]),
    ],
)
def test_names_become_files_of_one_folder(names, files):
    assert png_names(names) == files
