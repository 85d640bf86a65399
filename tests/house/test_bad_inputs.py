"""Bad inputs that somebody's chain will meet, by number, and the tests that say what a user then gets.

The numbers are stable names of cases. A case without a test is no promise: `OPEN` says of which the promise holds in
part only, and what is missing; `ABSENT` has numbers without a case, and cases that can't come up here.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LAST = 125

TABLE = """
# Graph and types
1 a cycle is written out, with the loop to write instead
    graph/test_reader::test_a_hostile_file_is_refused_with_its_place
2 a node that reads itself
    graph/test_reader::test_a_hostile_file_is_refused_with_its_place
3 two nodes of one name: both, and where each is read
    graph/test_check::test_duplicate_names_show_both_nodes
    graph/test_check::test_duplicate_inputs_show_where_each_is_read
4 names: what they may hold, and the character that they may not
    nodes/test_ref::test_a_bad_name_is_told_with_its_character
5 a shared node is one, equal ones are two
    nodes/test_ref::test_a_shared_node_stays_one_and_equal_ones_stay_two
6 a wrong edge: both ends, both types, a way out
    nodes/test_ref::test_a_wrong_wire_is_refused_on_its_line
7 None is no text; Any is looked at where it is read
    nodes/test_types::test_what_fits_where
    nodes/test_ref::test_a_wrong_wire_is_refused_on_its_line
    engine/test_operands::test_a_value_of_another_type_is_refused_where_it_is_read
8 a field that is missing, and what would fit
    nodes/test_ref::test_all_that_is_wrong_with_a_node_is_told_at_once
9 inputs that are missing, all at once
    test_chain::test_all_input_problems_are_told_at_once
10 an unknown input, with the near name
    test_chain::test_all_input_problems_are_told_at_once
11 a field that a value lacks: at its node, or at the template that reads it
    nodes/test_function::test_a_return_value_of_another_type_is_an_error_of_the_node
    nodes/test_template::test_declared_fields_are_reached_to_any_depth
12 what nobody reads: in files an error, in bodies a warning, under strict an error; else it is in no chain
    graph/test_reader::test_a_hostile_file_is_refused_with_its_place
    graph/test_check::test_a_body_that_does_not_read_its_item_is_a_warning_and_strictly_a_problem
13 a chain without an output
    graph/test_check::test_a_chain_without_an_output_is_no_chain
14 ten thousand nodes in line
    faults/test_scale::test_ten_thousand_nodes_take_less_than_two_seconds
    faults/test_scale::test_nothing_recurses_along_a_chain
15 diamonds: each node once, and everything linear
    engine/test_core::test_a_function_runs_once_however_many_read_it
    graph/test_draw::test_forty_diamonds_cost_forty_nodes
    faults/test_scale::test_twice_the_size_is_twice_the_work
16 bodies within bodies
    graph/test_check::test_bodies_nest_32_deep_and_no_deeper
    nodes/test_control::test_bodies_without_end_are_an_error_of_the_chain
17 a loop has a bound, and one in a file a lower one unless code allows more
    nodes/test_control::test_a_wrong_declaration_is_refused
    nodes/test_control::test_code_has_as_many_steps_as_it_says_and_a_file_where_code_allows_it
18 why a loop ended
    engine/test_control::test_a_loop_ends_where_the_plain_loop_does_and_says_why
    engine/test_control::test_loops_within_a_map_or_a_loop_say_why_they_end_each_time
    observe/test_report::test_a_page_says_why_each_loop_ended
19 a map over a text
    nodes/test_control::test_a_wrong_declaration_is_refused
20 no case for a value
    nodes/test_control::test_every_case_or_a_default
    engine/test_control::test_a_value_without_a_case_is_told_with_the_cases
21 a node is changed
    nodes/test_ref::test_nodes_are_frozen
    nodes/test_frozen::test_every_change_is_refused_with_the_way_out
22 a chain compared, copied, pickled, printed
    test_chain::test_a_chain_is_copied_as_itself_and_pickled_flat
    graph/test_draw::test_a_long_chain_is_told_in_two_thousand_characters

# Templates and texts
23 a placeholder that no value is named like
    nodes/test_template::test_holes_and_values_must_meet
24 a placeholder that nothing fills, a value that nothing asks for
    nodes/test_template::test_holes_and_values_must_meet
25 braces in a document
    nodes/test_template::test_values_pass_through_byte_for_byte_in_one_pass
    programs/test_text::test_what_a_document_holds_is_never_read_as_a_template
26 literal braces in a template
    nodes/test_template::test_a_template_is_taken_whole_or_refused_with_its_position
27 attributes, indexes and dunder names in a template
    nodes/test_template::test_a_template_has_no_tricks
28 format specs and conversions
    nodes/test_template::test_a_template_has_no_tricks
30 a path in a file is a text: none is opened
    graph/test_reader::test_paths_and_addresses_in_a_file_are_text
31 control characters
    engine/test_cleaning::test_control_characters_are_kept_and_counted_in_a_warning
    engine/test_cleaning::test_stripping_takes_the_control_characters_and_nothing_else
32 lone surrogates
    test_chain::test_a_lone_surrogate_is_refused_or_replaced
    engine/test_cleaning::test_the_document_and_the_offset_are_told_however_deep_it_stands
    graph/test_check::test_a_literal_that_no_encoding_holds_is_found_before_a_model_is
33 what is no text
    test_chain::test_what_is_no_text_is_refused
34 a file that is not UTF-8
    test_documents::test_what_can_not_be_read_says_why
35 empty texts
    test_chain::test_nothing_is_asked_about_an_empty_text
    engine/test_cleaning::test_empty_texts_are_refused_skipped_or_passed_without_asking_a_model
36 a word without end
    windows/test_split::test_an_endless_word_is_counted_a_few_times_over_at_most
    models/extractive/test_words::test_no_text_is_long_and_counts_little
    models/extractive/test_reader::test_a_word_without_end_is_no_answer
37 no cut within a cluster
    windows/test_split::test_a_grapheme_cluster_is_cut_only_where_no_other_cut_fits
    windows/test_split::test_pieces_partition_the_text_and_none_is_over_the_budget
38 special tokens in a document stay text
    models/transformers/test_encoding::test_a_document_holds_no_special_token
    models/transformers/test_rendering::test_a_document_holds_no_special_tokens
    models/transformers/test_chat::test_only_the_template_marks_turns
    models/openai/test_bodies::test_special_tokens_in_a_document_are_escaped_refused_or_allowed
    models/openai/test_bodies::test_special_tokens_of_the_servers_own_tokenizer_are_named
    observe/test_trace::test_special_tokens_of_documents_are_counted_and_of_much_text_the_first
39 what a document may not do: end early, fill a template, become another type
    test_fence::test_a_text_stands_whole_between_marks_that_it_does_not_hold
    test_fence::test_who_writes_the_mark_into_a_text_gets_another_one
    test_fence::test_an_answer_is_asked_for_with_each_document_between_its_marks
    programs/test_text::test_what_a_document_holds_is_never_read_as_a_template
40 a template that fills the window
    programs/test_overflow::test_a_template_that_fills_the_window_is_an_error_with_the_numbers
    programs/test_summarize::test_no_room_is_an_error_with_the_numbers
41 a reply as long as the window
    programs/test_proof::test_each_verdict_has_its_numbers
    windows/test_bounds::test_a_reply_longer_than_the_model_can_write_is_refused
42 an overlap as long as its piece
    nodes/test_text::test_a_wrong_declaration_is_refused
43 text without spaces
    windows/test_split::test_text_without_spaces_is_cut_between_its_words

# Settings and labels
44 temperature
    nodes/test_tasks::test_settings_of_sampling_have_ranges_and_no_coercion
45 max_tokens
    nodes/test_tasks::test_settings_of_sampling_have_ranges_and_no_coercion
46 settings out of their range, or that exclude each other
    nodes/test_tasks::test_settings_of_sampling_have_ranges_and_no_coercion
    nodes/test_tasks::test_beams_and_sampling_exclude_each_other
47 stops that are empty, long or many; longer than the reply: a warning, under strict an error
    nodes/test_tasks::test_a_wrong_declaration_is_refused
    graph/test_check::test_a_stop_longer_than_its_reply_is_a_warning_and_strictly_a_problem
48 time limits
    engine/test_settings::test_a_wrong_setting_is_refused_by_every_running_call
    models/openai/test_model::test_a_wrong_setting_is_refused_where_it_is_written
    models/openai/test_model::test_calls_without_an_end_are_asked_for_in_a_word
49 retries: their number, and what they may wait in all
    test_retry::test_a_rule_that_can_not_be_meant_is_refused
    engine/test_settings::test_a_policy_that_may_wait_longer_than_its_run_is_refused_wherever_it_stands
50 labels that are alike
    nodes/test_tasks::test_labels_must_be_told_apart
51 many labels, long labels, and how to have them
    nodes/test_tasks::test_labels_must_be_told_apart
    nodes/test_tasks::test_limits_of_labels_are_raised_in_code
    nodes/test_tasks::test_a_file_raises_limits_of_labels_only_where_code_allows_it
52 odd labels are data
    nodes/test_tasks::test_a_label_is_data
    graph/test_draw::test_a_label_that_would_break_out_is_an_entity
53 a label that begins another
    models/openai/test_labels::test_a_label_that_is_named_is_that_label
54 a reply that is no label
    models/openai/test_labels::test_what_names_no_label_is_an_error
56 schemas
    nodes/test_schema::test_a_type_that_no_model_should_be_asked_for_is_refused

# Chain files
59 nested deep
    graph/test_reader::test_a_hostile_file_is_refused_with_its_place
60 large
    graph/test_reader::test_a_file_beyond_the_bound_is_not_parsed_unless_code_says_so
    graph/test_reader::test_parts_that_multiply_are_refused_in_little_memory
61 a key twice
    graph/test_reader::test_a_hostile_file_is_refused_with_its_place
63 numbers that are none
    graph/test_reader::test_a_hostile_file_is_refused_with_its_place
64 unknown kinds and fields
    graph/test_reader::test_a_hostile_file_is_refused_with_its_place
65 classes, paths and lambdas
    graph/test_reader::test_a_hostile_file_is_refused_with_its_place
66 another format
    graph/test_reader::test_a_hostile_file_is_refused_with_its_place
67 what a file may not ask for
    graph/test_reader::test_a_hostile_file_is_refused_with_its_place
    faults/test_server_secrets::test_row_67_a_chain_file_names_neither_address_nor_key
68 a server's address and key
    faults/test_server_secrets::test_row_67_a_chain_file_names_neither_address_nor_key
69 there and back
    graph/test_document::test_a_chain_comes_back_the_same_and_does_the_same
70 other encodings and what stands behind
    graph/test_reader::test_a_hostile_file_is_refused_with_its_place
    graph/test_reader::test_marks_and_line_ends_of_other_systems_are_fine

# Models and servers
71 files that are missing
    models/transformers/test_checkpoint::test_all_missing_small_files_are_named_at_once
    models/transformers/test_checkpoint::test_all_missing_shards_are_named
72 pickles
    models/transformers/test_checkpoint::test_pickles_are_refused_with_the_way_to_convert
    models/transformers/test_checkpoint::test_pickles_are_read_where_code_allows_it_and_say_the_same
73 code of a checkpoint
    models/transformers/test_checkpoint::test_code_that_comes_with_a_checkpoint_is_refused
74 files cut short
    models/transformers/test_checkpoint::test_a_file_cut_short_anywhere_is_found_from_its_header
75 more words than embeddings, no pad token
    models/transformers/test_loading::test_what_stands_in_for_a_pad_token_is_told_by_check_and_repr
    models/transformers/test_loading::test_more_words_than_embeddings_is_an_error_before_weights
76 memory runs out
    faults/test_memory::test_what_is_too_large_alone_fails_alone_and_gives_its_memory_back
77 logits that are no numbers
    models/transformers/test_generate::test_logits_that_are_no_numbers_are_an_error
78 an empty reply
    engine/test_refused_replies::test_an_empty_reply_is_asked_for_once_more_refused_or_taken
79 one tokenizer, many threads
    models/transformers/test_loading::test_eight_threads_load_once_and_share_one_tokenizer
80 weights through a fork
    models/transformers/test_loading::test_weights_that_came_through_a_fork_are_refused
81 addresses
    models/openai/test_address::test_what_is_refused_before_anything_is_sent
    models/openai/test_address::test_a_redirect_is_an_error_and_is_not_followed
82 proxies
    models/openai/test_address::test_proxies_of_the_environment_are_heeded_but_for_this_machine
    models/openai/test_address::test_the_proxy_is_asked_and_shown_and_its_password_is_not
83 refusals
    faults/test_server_outages::test_row_83_what_time_does_not_mend_is_not_tried_again
84 a server's wish to be left alone
    faults/test_server_outages::test_row_84_a_servers_wish_is_heeded_where_it_makes_sense
    faults/test_server_outages::test_row_84_a_wish_beyond_the_runs_time_is_told_at_once
85 failures that pass
    faults/test_server_outages::test_row_85_what_may_pass_is_tried_again_and_the_tries_are_told
86 a dripping body
    faults/test_server_answers::test_row_86_a_body_that_drips_ends_at_the_deadline
87 a stream without end
    faults/test_server_answers::test_row_87_a_stream_without_end_is_left_behind_max_tokens
    faults/test_server_answers::test_row_87_a_stream_without_end_is_left_at_the_deadline
88 a huge body
    faults/test_server_answers::test_row_88_three_hundred_megabytes_take_no_memory
    models/openai/test_reading::test_no_more_comes_out_than_may
89 a stream cut short
    faults/test_server_answers::test_row_89_a_stream_that_is_cut_is_no_reply_and_is_kept_nowhere
90 nonsense
    faults/test_server_answers::test_row_90_nonsense_is_told_with_its_first_bytes
91 cut off by its limit
    faults/test_server_answers::test_row_91_a_reply_that_was_cut_off_by_its_limit_is_marked
    faults/test_server_answers::test_row_91_a_reply_that_was_cut_off_is_an_error_where_the_node_says_so
    engine/test_refused_replies::test_a_reply_that_is_cut_off_is_taken_or_refused
    programs/test_translate::test_what_was_cut_off_is_read_again_in_halves
92 a typed reply that does not fit
    programs/test_generate::test_a_reply_that_does_not_fit_is_asked_for_again_with_the_reason
    programs/test_typed::test_a_key_that_stands_twice_at_any_depth_is_refused
93 another model's words
    faults/test_server_answers::test_row_93_another_models_words_are_no_reply
94 another count of tokens
    faults/test_server_answers::test_row_94_both_counts_are_named_where_the_server_counts_otherwise
    faults/test_server_answers::test_row_94_a_long_text_is_split_once_more_by_the_servers_count

# Running, cancelling, storing
95 one poisoned row
    engine/test_drive::test_one_poisoned_row_of_ten_thousand_costs_no_other_row_and_few_calls
    faults/test_poison::test_one_poisoned_row_of_ten_thousand
96 rows from a generator
    test_chain::test_an_endless_iterator_is_read_a_bounded_number_ahead
97 rows without end, or that end in an error
    test_chain::test_rows_that_end_in_an_error_keep_those_before_it
98 Ctrl-C
    faults/test_interrupts::test_an_interrupted_run_stops_and_can_be_resumed
    faults/test_interrupts::test_a_second_interrupt_ends_it_at_once
99 cancellation
    engine/test_drive_async::test_cancelled_at_any_moment_nothing_is_left
    engine/test_drive_async::test_a_time_limit_of_the_callers_own_cancels_the_run
100 a stream that is left
    engine/test_hosts::test_leaving_a_stream_stops_the_model_between_two_steps
    engine/test_drive::test_a_stream_that_is_left_early_leaves_nothing
101 SIGTERM
    faults/test_interrupts::test_an_interrupted_run_stops_and_can_be_resumed
102 killed, or without power
    faults/test_kill::test_a_kill_at_every_statement
    faults/test_power::test_images_after_a_power_failure
103 within a running loop
    engine/test_executor::test_sync_calls_work_inside_a_running_loop
104 a function that holds the loop
    engine/test_holding::test_a_function_that_holds_the_loop_is_named_where_it_is_debugged
    engine/test_executor::test_functions_that_block_run_side_by_side_in_threads_of_their_own
105 one chain, eight threads
    engine/test_executor::test_one_chain_runs_from_eight_threads_and_as_many_loops
106 odd exceptions
    engine/test_failure::test_an_odd_exception_becomes_a_plain_failure
107 what ends more than a function
    engine/test_executor::test_whatever_a_function_ends_with_is_its_nodes_failure
108 what is no store
    store/test_opening::test_what_is_no_store_is_refused_and_left_alone
    store/test_opening::test_a_full_disk_is_noticed_before_anything_is_asked
    store/test_opening::test_a_network_file_system_is_refused
109 a newer store, and an older one
    store/test_opening::test_what_is_no_store_is_refused_and_left_alone
    store/test_migration::test_it_takes_thousands_of_entries_and_who_used_them
    store/test_migration::test_a_migration_that_fails_leaves_the_store_as_it_was
110 a disk that fills up
    faults/test_disk::test_a_disk_that_fills_up_at_a_random_write
    store/test_journal::test_an_error_ends_all_further_writing_until_a_new_run
111 a locked store
    faults/test_locked::test_a_run_outlasts_a_lock_of_eight_seconds
112 damage
    faults/test_corruption::test_two_hundred_faults
113 two processes, one run
    faults/test_processes::test_ten_processes_call_each_item_once
    store/test_claims::test_what_one_is_at_no_other_gets_until_it_is_given_back
114 a clock that lies
    faults/test_clock::test_a_clock_that_lies_changes_nothing
    faults/test_clock::test_no_lease_is_stolen_or_kept_for_ever
115 resumed with another chain
    store/test_recording::test_resuming_with_another_chain_names_what_changed
    store/test_recording::test_resuming_a_changed_chain_asks_for_nothing_but_what_changed
116 resumed with other inputs
    store/test_recording::test_resuming_with_other_inputs_names_the_first
117 a store that was moved
    store/test_opening::test_a_store_may_be_moved
118 a store that others can write
    store/test_reply::test_hostile_bytes_are_a_value_error
    store/test_opening::test_opening_a_store_calls_no_function_of_the_file
119 keys
    faults/test_server_secrets::test_a_key_is_nowhere
    faults/test_secrets::test_a_canary_is_nowhere

# What is shown
120 a page of other people's text
    observe/test_report::test_no_text_adds_an_element_to_the_page
    observe/test_report::test_a_browser_sees_forty_payloads_as_text
121 names that break a picture
    graph/test_draw::test_a_label_that_would_break_out_is_an_entity
    graph/test_draw::test_mermaid_draws_forty_payloads_as_labels
122 escapes in a terminal
    test_errors::test_what_is_shown_is_one_printable_line
    engine/test_failure::test_the_words_of_an_exception_forge_no_line_and_move_no_cursor
124 forged lines
    test_errors::test_what_is_shown_is_one_printable_line
    test_documents::test_a_name_with_a_line_break_stays_on_its_line
125 a page of ten thousand long texts
    observe/test_report::test_a_page_of_ten_thousand_long_texts_stays_below_its_bound
"""

OPEN = {
    3: "the line of code that built a node is not told, only a file's: to note it would cost every node that is built",
    38: "no server tells its special tokens: those of the common families are known, and others where code names them",
    96: "with a store, a row's content is kept with its replies, not before the first call: who resumes gives it again",
    104: "plain functions run on the loop unless they ask for a thread, which costs more than most of them take",
}

ABSENT = {
    29: "no case has this number",
    55: "no node takes a pattern of the user's: Extract finds named entities",
    57: "no case has this number",
    58: "no case has this number",
    62: "no case has this number",
    123: "nothing is written as CSV",
}


def proved() -> dict[int, list[str]]:
    """The tests of every case, as ``file::name``: what is set in below its line."""
    found: dict[int, list[str]] = {}
    tests: list[str] = []
    for line in TABLE.splitlines():
        if line.startswith("    "):
            tests.append(line.strip())
        elif line and not line.startswith("#"):
            number = int(line.split()[0])
            assert number not in found, number
            tests = found[number] = []
    return found


PROVED = proved()


def test_every_case_is_proved_open_or_absent() -> None:
    assert PROVED.keys() >= OPEN.keys()
    assert sorted([*PROVED, *ABSENT]) == list(range(1, LAST + 1))
    assert all(PROVED.values())


@functools.cache
def found_in(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / f"{file}.py").read_text("utf-8"))
    names = (node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return frozenset(f"{file}::{name}" for name in names if name.startswith("test_"))


@pytest.mark.parametrize("number", PROVED)
def test_the_tests_of_a_case_are_there(number: int) -> None:
    assert [test for test in PROVED[number] if test not in found_in(test.partition("::")[0])] == []
