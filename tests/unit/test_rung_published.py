"""Regional figures published elsewhere: which are set beside an estimate, which are refused."""

from inegnum.data import catalogue
from inegnum.review.rung_published import regional_figures


def test_every_regional_figure_is_placed_or_refused_with_a_reason() -> None:
    published, _ = catalogue.table("published_figures")
    here, refused = regional_figures(published)
    regional = published["level"].isin(["region", "nuts1", "nuts2"]) & published["unit"].eq("rate")
    assert len(here) + len(refused) == regional.sum() > 100
    assert (refused["why_en"].str.len() > 20).all()
    assert (refused["why_fr"].str.len() > 20).all()


def test_former_regions_stand_where_they_are_regions_still() -> None:
    published, _ = catalogue.table("published_figures")
    here, refused = regional_figures(published)
    brittany = here[(here["nuts"] == "nuts2") & (here["geo"] == "53")]
    assert sorted(brittany["year"].astype(int)) == [2017, 2018, 2019]
    merged = refused[refused["geo"] == "FRI1"]  # Aquitaine
    assert merged["why_en"].str.contains("merged").all()
    assert len(merged) == 3
    # Martinique is NUTS 2 and no former region of the mainland.
    assert refused.loc[refused["geo"] == "FRY2", "why_en"].str.contains("Overseas").all()


def test_an_age_group_is_not_a_region() -> None:
    published, _ = catalogue.table("published_figures")
    here, refused = regional_figures(published)
    ages = refused[refused["universe"].isin(["18-44", "75+"])]
    assert len(ages) >= 2
    assert ages["why_en"].str.contains("age group").all()
    assert not here["universe"].isin(["18-44", "45-59", "60-74", "75+"]).any()
