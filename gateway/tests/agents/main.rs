//! The gateway over real sockets and a real replica: agents on one side, the log on the other.
//!
//! Traps of the agent protocol (section 9) that concern the secure channel, and the tests that step into them. Those without
//! a module here are beside the code.
//!
//! | trap | test |
//! | --- | --- |
//! | 2 keys are hex text | `codec::cipher::the_secret_is_the_vectors` |
//! | 3, 4 padding and length | `codec::vectors`, `codec::frame::zero_length_is_a_close_and_a_lying_length_an_error` |
//! | 5 a single IPv4 sends no id | `addresses::an_agent_of_one_ipv4_address_sends_no_id_and_is_known_by_that_address_alone` |
//! | 6 trailing spaces | `codec::to_agent::an_ack_without_its_trailing_space_is_none` |
//! | 7 the ack comes first | `restarting::a_restart_for_an_agent_that_is_away_is_sent_when_it_comes_back_and_behind_the_ack` |
//! | 7 the agent's frames may come before it | `restarting::an_answer_counts_from_a_later_connection_even_on_another_node` |
//! | 8 the cipher of the agent | `connecting::an_agent_is_answered_in_the_cipher_of_its_latest_message` |
//! | 10 `ok ` is no proof | `restarting::ok_alone_stays_acknowledged` |
//! | 12 counters | `connecting::counters_that_stand_still_or_go_back_are_taken_over_tcp`, `datagrams::simulators_that_do_not_count_are_taken_if_the_check_is_off` |
//! | 13 a dead connection | `connecting::a_new_connection_takes_over_from_the_old_one` |
//! | 15 acks from memory | `quorum::without_a_quorum_agents_are_acked_and_requests_are_refused_quickly` |
//! | 16 the product in front of a version | `codec::version::every_spelling_of_a_version_reads_the_same` |
//! | 20 a stump of a frame | `abuse::an_agent_that_does_not_read_is_cut_off_and_blocks_nobody` |
//! | 21 request numbers over UDP | `datagrams::a_request_number_is_never_used_twice` |
//! | 6.1 removal closes at once | `connecting::a_removed_agent_is_cut_off_and_not_known_any_more` |
//! | 6.3 only who has the key takes over | `abuse::a_wrong_key_opens_nothing_and_takes_nothing_over` |
//! | 6.3, 6.4 clones | `clones` |
//! | 6.4 one id on two nodes | `connecting::an_agent_that_moves_is_owned_by_the_node_it_moved_to` |
//! | 6.5 the listener closes first | `connecting::a_gateway_that_stops_closes_its_ports_first_and_leaves_no_statement_behind` |

#![expect(clippy::unwrap_used, reason = "a test whose helpers fail ends where it stands")]

mod abuse;
mod addresses;
mod clones;
mod connecting;
mod datagrams;
mod enrolling;
mod figures;
mod quorum;
mod releases;
mod reporting;
mod restarting;
mod support;
