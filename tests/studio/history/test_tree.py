from __future__ import annotations

import pytest

from pipelines.contract import Quality, Scope
from studio.errors import BadName, UnknownBranch, UnknownTurn, WrongTurns
from studio.history.tree import LONGEST_NAME, Trashed, Tree
from studio.history.turn import Outcome, Turn, TurnRequest


def child(parent: Turn, seed: int) -> Turn:
    request = TurnRequest(
        model="m",
        weights="w",
        method="sdedit",
        params={},
        quality=Quality.DRAFT,
        subject="",
        background="",
        scope=Scope.BOTH,
        seed=seed,
        mask=None,
        prompts={},
        feather=2.0,
    )
    return Turn.after(parent.id, request, f"picture {seed}", Outcome())


ROOT = Turn.original("original")
A, B = child(ROOT, 1), child(ROOT, 2)
A1, A2 = child(A, 3), child(A, 4)
A11 = child(A1, 5)


def test_undo_and_redo_walk_the_branch() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1)
    assert tree.current == A1.id and tree.can_undo and not tree.can_redo
    assert tree.undo().undo().current == ROOT.id
    assert tree.undo().undo().undo().current == ROOT.id
    assert tree.undo().undo().redo().current == A.id
    assert tree.redo() == tree


def test_kpix102_undo_then_edit_keeps_the_old_branch() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1).undo().undo().append(B)
    assert tree.line(tree.branches[tree.branch]) == (ROOT.id, B.id)
    assert tree.undo().redo().current == B.id
    back = tree.jump(A.id)
    assert back.redo().current == A1.id, "the old line is redone along its own branch"
    assert back.lanes() == {ROOT.id: 0, A.id: 0, A1.id: 0, B.id: 1}
    assert tree.lanes() == {ROOT.id: 0, B.id: 0, A.id: 1, A1.id: 1}


def test_a_result_attaches_where_it_was_started_whatever_one_stands_on() -> None:
    tree = Tree.planted(ROOT).append(A).append(B)
    late = tree.append(A1)
    assert late.line(A1.id) == (ROOT.id, A.id, A1.id) and late.current == A1.id
    assert len(late.branches) == 2, "A was the end of its branch, which grows"


def test_appending_a_turn_again_only_stands_on_it() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1)
    assert tree.undo().append(A1) == tree


def test_unknown_turns_are_refused() -> None:
    with pytest.raises(UnknownTurn):
        Tree.planted(ROOT).jump("elsewhere")
    with pytest.raises(UnknownTurn):
        Tree.planted(ROOT).append(A1)
    with pytest.raises(UnknownTurn):
        Tree.planted(ROOT).trash(A.id)
    with pytest.raises(UnknownTurn):
        Tree.planted(ROOT).append(A).restore(A.id)


def test_the_last_turn_of_two_lines_that_both_share() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1).append(A2).append(B)
    assert tree.ancestor(A1.id, A2.id) == tree.ancestor(A2.id, A1.id) == A.id
    assert tree.ancestor(A.id, A1.id) == tree.ancestor(A1.id, A.id) == A.id
    assert tree.ancestor(A2.id, B.id) == ROOT.id
    assert tree.ancestor(A.id, A.id) == A.id


# Chains


def test_a_chain_becomes_a_new_branch_and_the_old_one_stays() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1)
    b1 = child(B, 9)
    adopted = tree.adopt((B, b1))
    assert adopted.branches == {"main": A1.id, "branch 2": b1.id}
    assert (adopted.branch, adopted.current) == ("branch 2", b1.id)
    assert list(adopted.turns) == [ROOT.id, A.id, A1.id, B.id, b1.id]


def test_a_chain_that_is_there_is_only_stood_on() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1).append(B)
    assert tree.adopt((A, A1)) == tree.jump(A1.id)
    assert tree.adopt((A,)) == tree.jump(A.id)


def test_a_chain_that_is_there_in_part_is_added_in_part() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1).adopt((A, A2))
    assert tree.branches == {"main": A1.id, "branch 2": A2.id} and tree.current == A2.id


def test_a_chain_at_the_end_of_a_branch_goes_on_with_it() -> None:
    tree = Tree.planted(ROOT).append(A).append(B).adopt((A1, A11))
    assert tree.branches == {"main": A11.id, "branch 2": B.id} and tree.branch == "main"


def test_what_is_no_chain_of_this_timeline_is_refused() -> None:
    tree = Tree.planted(ROOT).append(A)
    with pytest.raises(UnknownTurn):
        tree.adopt((child(B, 9),))
    for broken in ((), (A1, A2), (B, A1)):
        with pytest.raises(ValueError, match="chain"):
            tree.adopt(broken)


# Branches


def test_a_branch_begins_where_one_stands_and_the_next_turn_goes_there() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1).undo().branch_here("by night")
    assert tree.branches == {"main": A1.id, "by night": A.id} and tree.branch == "by night"
    assert not tree.can_redo
    assert tree.lanes() == {ROOT.id: 0, A.id: 0, A1.id: 1}
    assert tree.append(A2).branches == {"main": A1.id, "by night": A2.id}


def test_a_branch_on_the_line_of_another_takes_no_row() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1).undo().branch_here().jump(ROOT.id).append(B).jump(A1.id)
    assert list(tree.branches) == ["main", "branch 2", "branch 3"]
    assert tree.lanes() == {ROOT.id: 0, A.id: 0, A1.id: 0, B.id: 1}


def test_branches_without_a_name_are_numbered() -> None:
    tree = Tree.planted(ROOT).branch_here().branch_here("branch 4").branch_here()
    assert list(tree.branches) == ["main", "branch 2", "branch 4", "branch 5"]


def test_a_renamed_branch_keeps_its_place() -> None:
    tree = Tree.planted(ROOT).append(A).append(B).rename_branch("main", "  by night ")
    assert list(tree.branches.items()) == [("by night", A.id), ("branch 2", B.id)] and tree.branch == "branch 2"
    assert tree.rename_branch("branch 2", "by day").branch == "by day"
    assert tree.rename_branch("by night", "by night") == tree
    with pytest.raises(UnknownBranch):
        tree.rename_branch("main", "again")


@pytest.mark.parametrize("name", ["", "  ", "main", " main ", "a\nb", "a\u202eb", "\ud800", "x" * (LONGEST_NAME + 1)])
def test_names_that_cannot_be_given(name: str) -> None:
    tree = Tree.planted(ROOT).branch_here("other")
    with pytest.raises(BadName):
        tree.branch_here(name)
    with pytest.raises(BadName):
        tree.rename_branch("other", name)


# Trash


def test_a_turn_goes_into_the_trash_with_all_that_follow_it() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1).append(A2).append(B).jump(A2.id)
    cut = tree.trash(A.id)
    assert cut.turns == tree.turns, "nothing is deleted"
    assert list(cut.visible) == [ROOT.id, B.id]
    assert cut.branches == {"main": ROOT.id, "branch 2": ROOT.id, "branch 3": B.id}
    assert (cut.branch, cut.current) == ("branch 2", ROOT.id)
    assert cut.trashed == (Trashed(A.id, {"main": A1.id, "branch 2": A2.id}),)
    assert cut.size_of(cut.trashed[0]) == 3
    assert set(cut.depths()) == set(cut.lanes()) == {ROOT.id, B.id}
    for refused in (cut.jump, cut.line, cut.trash):
        with pytest.raises(UnknownTurn):
            refused(A1.id)
    with pytest.raises(UnknownTurn):
        cut.append(A11)
    assert cut.restore(A.id) == tree.jump(A2.id).undo().undo()


def test_a_branch_whose_own_turns_are_all_trashed_vanishes_and_comes_back() -> None:
    tree = Tree.planted(ROOT).append(A).append(B).jump(A.id)
    cut = tree.trash(B.id)
    assert cut.branches == {"main": A.id} and cut.current == A.id
    assert cut.restore(B.id) == tree


def test_where_nothing_else_leads_there_one_branch_stays() -> None:
    tree = Tree.planted(ROOT).append(A).append(B).append(child(B, 6)).append(child(B, 7)).jump(A.id)
    cut = tree.trash(B.id)
    assert cut.branches == {"main": A.id}, "main leads to the original"
    b1, b2 = (id for id in tree.turns if tree.turns[id].parent == B.id)
    inner = tree.append(child(tree[b1], 8)).append(child(tree[b1], 9)).jump(A.id).trash(b1)
    assert inner.branches == {"main": A.id, "branch 3": b2}, "the line to B is that of branch 3"
    alone = tree.trash(b1).trash(b2)
    assert alone.branches == {"main": A.id, "branch 3": B.id}, "B stays in sight"


def test_the_original_stays() -> None:
    with pytest.raises(WrongTurns, match="original"):
        Tree.planted(ROOT).append(A).trash(ROOT.id)


def test_what_is_made_again_comes_out_of_the_trash() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1).trash(A.id).append(A)
    assert tree == Tree.planted(ROOT).append(A).append(A1).undo()


def test_a_chain_through_the_trash_comes_out_of_it() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1).trash(A1.id).trash(A.id).adopt((A, A1, A11))
    assert tree == Tree.planted(ROOT).append(A).append(A1).append(A11)


def test_a_restored_turn_brings_what_it_was_made_from() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1).append(A11)
    cut = tree.trash(A11.id).trash(A1.id).trash(A.id)
    assert [cut.size_of(trashed) for trashed in cut.trashed] == [1, 1, 1]
    assert cut.restore(A11.id) == tree.undo().undo().undo()
    outer = cut.restore(A.id)
    assert list(outer.visible) == [ROOT.id, A.id] and [t.cut for t in outer.trashed] == [A11.id, A1.id]


def test_a_restored_branch_whose_name_leads_elsewhere_gets_another() -> None:
    name = "n" * LONGEST_NAME
    tree = Tree.planted(ROOT).rename_branch("main", name).append(A).trash(A.id).append(B).restore(A.id)
    assert tree.branches == {name: B.id, "n" * (LONGEST_NAME - 5) + " 2": A.id}
    assert (tree.branch, tree.current) == (name, B.id)


def test_a_new_name_is_none_of_those_that_come_back_with_it() -> None:
    tree = Tree.planted(ROOT).append(A).append(A1).undo().branch_here("main 2").append(A2).append(B)
    cut = tree.trash(A.id)
    assert cut.branches == {"main": ROOT.id, "branch 3": B.id}
    c = child(ROOT, 9)
    back = cut.append(c).restore(A.id)
    assert back.branches == {"main": c.id, "branch 3": B.id, "main 3": A1.id, "main 2": A2.id}


# Size


def test_a_thousand_turns_on_two_hundred_branches() -> None:
    tree, tip = Tree.planted(ROOT), ROOT
    for seed in range(800):
        tip = child(tip, seed)
        tree = tree.append(tip)
    line = tree.line(tip.id)
    for seed in range(199):
        tree = tree.append(child(tree[line[seed * 4]], 5_000 + seed))
    assert len(tree.turns) == 1_000 and len(tree.branches) == 200
    assert max(tree.lanes().values()) == 199 and max(tree.depths().values()) == 800
