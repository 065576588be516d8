//! What can be wrong with a provider, and which case of the suite notices.

use schemars::JsonSchema;
use serde::Deserialize;

macro_rules! defects {
    ($($(#[$doc:meta])* $name:ident => $case:literal,)*) => {
        /// One thing that is wrong with a provider that is right otherwise.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
        pub enum Defect {
            $($(#[$doc])* $name,)*
        }

        impl Defect {
            /// All of them.
            pub const ALL: &[Defect] = &[$(Defect::$name,)*];

            /// The case of the suite that fails because of it.
            #[must_use]
            pub const fn caught_by(self) -> &'static str {
                match self {
                    $(Defect::$name => $case,)*
                }
            }
        }
    };
}

defects! {
    // Writing.
    /// A file has its name as soon as it is opened.
    VisibleEarly => "nothing_is_visible_before_finish",
    /// A listing names a file that is still being written.
    ListedEarly => "nothing_is_visible_before_finish",
    /// What is being written has a name that could be a user's.
    PartVisible => "temporaries_are_not_listed_as_files",
    /// A file that is being replaced is gone until the new one is there.
    GoneMeanwhile => "the_old_content_stays_until_finish",
    /// Half of the bytes never reach the storage, and nobody is told.
    Truncates => "what_was_written_is_read",
    /// `finish` says that all is well, and nothing is there.
    LosesFinish => "finish_tells_what_is_there",
    /// Fewer or more bytes than were announced make a file as well.
    AnyLengthIsWhole => "fewer_bytes_than_announced_are_refused",
    /// An empty file is not made.
    NoEmptyFiles => "an_empty_file_is_a_file",
    /// The last byte of each MiB that is written becomes 0.
    WritesBoundary => "sizes_at_the_edges_of_chunks_are_exact",
    /// A shorter file that replaces a longer one keeps its end.
    KeepsTail => "nothing_of_the_old_content_remains",
    /// Two writes at once: both contents go to the name that was opened last.
    MixesWriters => "writes_are_independent_of_each_other",
    /// Folders above a new file are not made.
    NoParents => "parents_are_made_on_the_way",
    /// What `finish` tells is not what is there then.
    FinishTellsOldVersion => "finish_tells_what_is_there",
    /// The modification time is not kept.
    DropsMtime => "the_modification_time_is_kept",
    /// The modification time is kept to 2 s, and 1 ns was declared.
    CoarseMtime => "the_modification_time_is_kept",
    /// A write goes on after it was cancelled, and becomes visible.
    IgnoresCancel => "a_write_cancelled_before_finish_is_not_done",
    /// What was discarded can be resumed.
    KeepsDiscarded => "a_token_of_a_discarded_write_begins_anew",
    /// A checkpoint spoils the byte that comes next.
    CheckpointSpoils => "checkpoints_do_no_harm",
    /// Seconds are kept in 32 bits.
    WrapsFarTimes => "times_far_ahead_do_not_turn_into_others",
    /// Something of ours stays beside each file, and no sweep knows it.
    LeavesDebris => "nothing_of_ours_is_left_on_the_disk",
    /// An operation is held on to after its end.
    HoldsOperation => "an_operation_is_let_go_of",
    /// No more than four files can be written at once.
    FewAtOnce => "many_files_of_one_folder_arrive",
    /// A folder more than ten levels deep is refused.
    RefusesDeep => "deep_paths_are_kept",

    // What is expected.
    /// A write that expects nothing replaces what is there.
    Overwrites => "a_taken_name_is_refused",
    /// What is expected is looked at when a write begins, and not when it ends.
    ExpectsOnlyAtFirst => "a_name_taken_meanwhile_is_refused",
    /// What is expected is looked at right before a file is published, and not in the same step.
    LooksThenPublishes => "one_of_many_writers_wins",
    /// Likewise before a file is deleted.
    LooksThenDeletes => "either_it_is_deleted_or_replaced",
    /// The old file is removed before the new one gets its name.
    ReplacesInTwoSteps => "readers_meanwhile_see_the_old_or_the_new",
    /// A write replaces any version.
    WriteIgnoresVersion => "another_version_is_not_replaced",
    /// A version that is not there any more is replaced all the same.
    WriteReplacesVanished => "a_vanished_version_is_not_replaced",
    /// A delete removes any version.
    DeleteIgnoresVersion => "another_version_is_not_deleted",
    /// A read takes any version.
    ReadIgnoresVersion => "another_version_is_not_read",

    // Fingerprints.
    /// All contents have the same.
    ConstantVersion => "the_version_changes_with_the_content",
    /// It is the size.
    VersionIsSize => "the_version_changes_with_the_content",
    /// It is size and time: what was changed and given its old time looks unchanged.
    VersionIsSizeAndTime => "the_version_changes_with_the_content",
    /// It is another one with every look.
    UnstableVersion => "the_version_stays_with_the_content",
    /// Listings give another one than `stat`.
    ListedVersionDiffers => "listed_metadata_is_what_stat_tells",

    // Resuming.
    /// What was written before a resume becomes zeros.
    ResumeForgets => "an_interrupted_write_goes_on",
    /// A resumed write goes on at one byte and tells another.
    ResumeTellsWrongByte => "an_interrupted_write_goes_on",
    /// Resuming was declared, and there is no token.
    NoToken => "an_interrupted_write_goes_on",
    /// A resumed write replaces whatever is there.
    ResumeIgnoresExpectation => "a_resumed_write_expects_what_it_says",
    /// A token that can't be gone on from stands for a hundred zeros.
    AnyTokenGoesOn => "a_nonsense_token_begins_anew",

    // Reading.
    /// A read begins at the first byte, wherever it should.
    IgnoresFrom => "the_rest_of_a_file_is_read",
    /// A read goes on to the end, however little was asked for.
    IgnoresLen => "a_range_in_the_middle_is_read",
    /// The last byte of a file is not read.
    EndsEarly => "what_was_written_is_read",
    /// One byte comes after the last.
    OneTooMany => "what_was_written_is_read",
    /// Zeros come after the last byte, for ever.
    NeverEnds => "the_end_is_the_only_empty_answer",
    /// The last byte of each MiB that is read becomes 0.
    ReadsBoundary => "a_large_file_arrives",
    /// More bytes come at once than were asked for.
    ReadsTooMuch => "a_read_gives_at_most_what_is_asked_for",
    /// A reader tells another size than the file has.
    ReaderTellsWrongSize => "the_reader_tells_what_stat_tells",
    /// A reader looks its file up by name with every read.
    ReaderReopens => "an_open_reader_sees_one_content",
    /// A read from the end of a file fails.
    RangeAtEndFails => "a_range_at_the_end_is_empty",

    // What is told of a file.
    /// `stat` tells one byte too many.
    WrongSize => "a_file_has_the_size_that_was_written",
    /// A folder is told to be a file.
    FolderIsFile => "a_folder_is_a_folder",
    /// What is missing is told to be an empty file.
    MissingIsThere => "nothing_is_found_where_nothing_is",
    /// What is missing is an error of another kind.
    MissingIsUnexpected => "nothing_is_found_where_nothing_is",
    /// What would lie beneath a file is an error of another kind than what is missing.
    BeneathFileIsUnexpected => "a_write_beneath_a_file_is_refused",
    /// What the host cancelled is an error of another kind.
    CancelledIsUnexpected => "a_write_cancelled_between_chunks_is_not_done",
    /// What is there already is an error of another kind.
    ExistingIsUnexpected => "a_taken_name_is_refused",
    /// Another version is an error of another kind.
    OtherVersionIsUnexpected => "another_version_is_not_replaced",
    /// The digest is not that of the content.
    WrongChecksum => "checksums_agree_with_the_content",
    /// Digests were declared, and there are none.
    NoChecksum => "declared_checksums_are_given",
    /// An error has no words.
    SpeechlessErrors => "errors_say_what_happened",
    /// What the host remembers of a file is told without a look.
    BelievesKnown => "what_is_remembered_is_only_a_hint",
    /// What was seen once is told again, unless this instance itself changed it.
    CachesStat => "what_another_replaced_is_seen",
    /// What was missing once is missing until this instance itself writes something.
    CachesMissing => "what_another_made_is_seen",

    // Listing.
    /// The last name of a folder is missing.
    ListDrops => "a_listing_names_what_is_there",
    /// The first name of a folder is there twice.
    ListRepeatsName => "a_listing_names_what_is_there",
    /// Each page comes twice.
    ListRepeatsPage => "a_listing_names_what_is_there",
    /// After the last page come empty ones, for ever.
    ListNeverEnds => "an_empty_folder_is_complete_and_empty",
    /// No folder is ever complete.
    ListNeverComplete => "an_empty_folder_is_complete_and_empty",
    /// No folder has more than a hundred names.
    ListStopsAtHundred => "ten_thousand_files_are_listed_once_each",
    /// Names that begin with a dot are hidden.
    ListHidesDots => "names_with_dots_are_kept",
    /// All pages are told to be of the first folder.
    ListMixesFolders => "a_recursive_listing_equals_the_walk",
    /// Files have no size in listings.
    ListHasNoSizes => "listed_metadata_is_what_stat_tells",
    /// A recursive listing is that of one folder.
    ListIsFlat => "a_recursive_listing_equals_the_walk",
    /// A listing of one folder is recursive.
    ListIsDeep => "only_the_folder_itself_is_listed",
    /// A folder that is not there lists as an empty one.
    MissingFolderIsEmpty => "a_missing_folder_is_not_found",
    /// The last page comes again and again, for ever.
    ListRepeatsForever => "a_listing_names_what_is_there",
    /// A file is missing from the first listing after it was finished.
    ListsLate => "a_finished_file_is_listed_at_once",
    /// A file is in one more listing after it was deleted.
    ListsDeleted => "what_was_deleted_is_not_listed",
    /// A recursive listing has no pages for empty folders.
    ListSkipsEmptyFolders => "a_recursive_listing_equals_the_walk",

    // Folders and deleting.
    /// A folder that is there already is an error.
    FolderTwiceFails => "making_a_folder_again_is_fine",
    /// A folder that is there already is made once more under another name.
    FolderTwiceDoubles => "making_a_folder_again_is_fine",
    /// Two who make one folder at once make two.
    FolderRaceDoubles => "a_folder_made_by_many_is_one",
    /// A folder is not made, and nobody is told.
    FolderNotMade => "a_made_folder_is_there",
    /// A folder that was made once is taken to be there for ever.
    RemembersFolders => "a_folder_that_another_removed_is_made_again",
    /// A folder is removed with all that is in it.
    RemovesFullFolder => "a_folder_with_a_file_is_not_removed",
    /// A file is not deleted, and nobody is told.
    DeletesNothing => "a_deleted_file_is_gone",
    /// `delete` takes a folder as well.
    DeletesFolders => "a_folder_is_not_deleted_as_a_file",
    /// To delete what is not there is fine.
    DeletesMissing => "a_missing_file_is_not_found",
    /// Files whose names begin like that of a deleted one go with it.
    DeletesByPrefix => "neighbours_of_a_deleted_file_stay",
    /// There is no trash, and what should go to one is deleted for good.
    DeletesForGood => "without_a_trash_nothing_is_deleted",
    /// To remove a folder that is not there is fine.
    RemovesMissingFolder => "a_missing_folder_is_not_removed",
    /// A file in the place of a folder will do.
    FileWillDo => "a_folder_in_place_of_a_file_is_refused",

    // The trash.
    /// What should go to the trash is deleted for good.
    TrashesNothing => "what_went_to_the_trash_is_found_there",
    /// What goes to the trash gets a new time.
    TrashDropsMtime => "what_went_to_the_trash_is_found_there",
    /// Nothing in the trash can be renamed.
    TrashIsStuck => "what_is_in_the_trash_comes_back_by_a_rename",
    /// Nothing in the trash is deleted, and nobody is told.
    TrashStays => "the_trash_can_be_emptied",
    /// What is replaced is gone, whatever was asked for.
    KeepsNothing => "what_is_replaced_is_kept",
    /// What is replaced is kept, whatever was asked for.
    KeepsUnasked => "nothing_is_kept_unasked",
    /// What is to be replaced is copied into the trash before it is known whether it will be.
    KeepsRefused => "a_refused_replacing_keeps_nothing",
    /// What is to replace something is in the trash first, and stays there if it is refused.
    KeepsRefusedNew => "one_of_many_writers_keeps_the_old",
    /// The old file goes to the trash before the new one gets its name.
    KeepsInTwoSteps => "readers_meanwhile_find_a_file",
    /// A copy keeps nothing of what it replaces.
    CopyKeepsNothing => "a_copy_keeps_what_it_replaces",
    /// A batch of copies keeps what any of it replaces, if one of them is to.
    CopyKeepsAll => "a_copy_keeps_what_it_replaces",

    // Server copies and renames.
    /// Results come in the wrong order.
    CopyReverses => "results_come_in_the_order_of_the_batch",
    /// Copies have the time at which they were made.
    CopyDropsMtime => "a_copy_keeps_the_modification_time",
    /// One failure fails all.
    CopyFailsAll => "one_bad_item_does_not_spoil_the_others",
    /// What is there is replaced, whatever was expected.
    CopyOverwrites => "a_copy_over_a_file_is_refused",
    /// Any version of the destination is replaced.
    CopyIgnoresVersion => "a_copy_replaces_the_expected_version_only",
    /// Any version of the source is copied.
    CopyIgnoresSource => "a_changed_source_is_not_copied",
    /// A cancelled batch is copied all the same.
    CopyIgnoresCancel => "a_copy_cancelled_before_it_begins_is_not_done",
    /// Nothing is copied, and nobody is told.
    CopyLoses => "a_copy_has_the_content_of_its_source",
    /// Half of each copy is missing.
    CopyTruncates => "files_of_all_sizes_are_copied",
    /// The source is gone after the copy.
    CopyMoves => "a_copy_tells_both_ends",
    /// There is no result for the last of a batch.
    CopyForgetsLast => "results_come_in_the_order_of_the_batch",
    /// Server copies were declared, and there are none.
    CopyUnsupported => "a_copy_has_the_content_of_its_source",
    /// A rename replaces what is there.
    RenameOverwrites => "a_rename_over_a_file_is_refused",
    /// A rename leaves the old name where it is.
    RenameLeaves => "a_renamed_file_is_there_under_its_new_name",
    /// A copy needs its folder to be there.
    CopyNoParents => "a_copy_makes_parents",
    /// What a copy tells of its destination is not what is there then.
    CopyTellsOldVersion => "a_copy_tells_both_ends",
    /// A renamed file gets a new time.
    RenameDropsMtime => "a_rename_keeps_the_modification_time",

    // Names.
    /// `A` becomes `a`.
    FoldsCase => "upper_and_lower_case_are_two",
    /// Decomposed letters are composed.
    Composes => "composed_and_decomposed_names_are_two",
    /// Dots and spaces at the end of a name are cut off.
    CutsTrailing => "names_with_dots_are_kept",
    /// Spaces at the begin of a name are cut off.
    CutsLeading => "names_with_spaces_are_kept",
    /// `%20` becomes a space.
    Decodes => "names_that_look_encoded_are_kept",
    /// Names are cut off at 100 characters.
    CutsLong => "names_as_long_as_allowed_are_kept",
    /// `:`, `*`, `?` and the like become `_`.
    Replaces => "names_with_the_signs_of_urls_are_kept",
    /// Characters beyond the first 65,536 become `_`.
    ReplacesAstral => "names_of_all_languages_are_kept",
    /// `+` becomes a space.
    PlusIsSpace => "names_with_the_signs_of_urls_are_kept",
    /// Control characters become `_`.
    ReplacesControls => "names_with_control_characters_are_kept",
    /// A link is told to be what it points to, wherever that is.
    FollowsLinks => "links_do_not_lead_out_of_the_root",
    /// `..` leads out of the root.
    LeavesRoot => "paths_out_of_the_root_are_not_looked_at",

    // Roots and housekeeping.
    /// The same storage has another id each time it is asked.
    StorageIdChanges => "a_root_opened_again_is_the_same",
    /// A root that is not there is made.
    MakesRoot => "a_missing_root_is_unavailable",
    /// A barrier was declared, and there is none.
    FlushUnsupported => "what_was_finished_is_flushed",
    /// A sweep removes what a token needs.
    SweepsNeeded => "what_a_token_needs_survives_a_sweep",
    /// A sweep removes users' files that end in `.tmp`.
    SweepsUsers => "files_survive_a_sweep",
    /// A sweep removes nothing.
    SweepsNothing => "what_nobody_needs_is_swept",
    /// A sweep removes what is being written.
    SweepsUnderWay => "a_write_under_way_survives_a_sweep",
    /// A sweep removes what other hosts left, however new.
    SweepsForeign => "what_another_site_left_survives_a_sweep",
}
