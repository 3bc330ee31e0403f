impl serde::Serialize for Answer {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.answer.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Answer", len)?;
        if let Some(v) = self.answer.as_ref() {
            match v {
                answer::Answer::Done(v) => {
                    struct_ser.serialize_field("done", v)?;
                }
                answer::Answer::Welcome(v) => {
                    struct_ser.serialize_field("welcome", v)?;
                }
                answer::Answer::Regions(v) => {
                    struct_ser.serialize_field("regions", v)?;
                }
                answer::Answer::Room(v) => {
                    struct_ser.serialize_field("room", v)?;
                }
                answer::Answer::Rooms(v) => {
                    struct_ser.serialize_field("rooms", v)?;
                }
                answer::Answer::Queue(v) => {
                    struct_ser.serialize_field("queue", v)?;
                }
                answer::Answer::Matches(v) => {
                    struct_ser.serialize_field("matches", v)?;
                }
                answer::Answer::Ratings(v) => {
                    struct_ser.serialize_field("ratings", v)?;
                }
                answer::Answer::ChatMessage(v) => {
                    struct_ser.serialize_field("chat_message", v)?;
                }
                answer::Answer::ChatMessages(v) => {
                    struct_ser.serialize_field("chat_messages", v)?;
                }
                answer::Answer::MatchReady(v) => {
                    struct_ser.serialize_field("match_ready", v)?;
                }
                answer::Answer::Presences(v) => {
                    struct_ser.serialize_field("presences", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Answer {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "done",
            "welcome",
            "regions",
            "room",
            "rooms",
            "queue",
            "matches",
            "ratings",
            "chat_message",
            "chatMessage",
            "chat_messages",
            "chatMessages",
            "match_ready",
            "matchReady",
            "presences",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Done,
            Welcome,
            Regions,
            Room,
            Rooms,
            Queue,
            Matches,
            Ratings,
            ChatMessage,
            ChatMessages,
            MatchReady,
            Presences,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "done" => Ok(GeneratedField::Done),
                            "welcome" => Ok(GeneratedField::Welcome),
                            "regions" => Ok(GeneratedField::Regions),
                            "room" => Ok(GeneratedField::Room),
                            "rooms" => Ok(GeneratedField::Rooms),
                            "queue" => Ok(GeneratedField::Queue),
                            "matches" => Ok(GeneratedField::Matches),
                            "ratings" => Ok(GeneratedField::Ratings),
                            "chatMessage" | "chat_message" => Ok(GeneratedField::ChatMessage),
                            "chatMessages" | "chat_messages" => Ok(GeneratedField::ChatMessages),
                            "matchReady" | "match_ready" => Ok(GeneratedField::MatchReady),
                            "presences" => Ok(GeneratedField::Presences),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Answer;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Answer")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Answer, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut answer__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Done => {
                            if answer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("done"));
                            }
                            answer__ = map_.next_value::<::std::option::Option<_>>()?.map(answer::Answer::Done)
;
                        }
                        GeneratedField::Welcome => {
                            if answer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("welcome"));
                            }
                            answer__ = map_.next_value::<::std::option::Option<_>>()?.map(answer::Answer::Welcome)
;
                        }
                        GeneratedField::Regions => {
                            if answer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("regions"));
                            }
                            answer__ = map_.next_value::<::std::option::Option<_>>()?.map(answer::Answer::Regions)
;
                        }
                        GeneratedField::Room => {
                            if answer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("room"));
                            }
                            answer__ = map_.next_value::<::std::option::Option<_>>()?.map(answer::Answer::Room)
;
                        }
                        GeneratedField::Rooms => {
                            if answer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rooms"));
                            }
                            answer__ = map_.next_value::<::std::option::Option<_>>()?.map(answer::Answer::Rooms)
;
                        }
                        GeneratedField::Queue => {
                            if answer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("queue"));
                            }
                            answer__ = map_.next_value::<::std::option::Option<_>>()?.map(answer::Answer::Queue)
;
                        }
                        GeneratedField::Matches => {
                            if answer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("matches"));
                            }
                            answer__ = map_.next_value::<::std::option::Option<_>>()?.map(answer::Answer::Matches)
;
                        }
                        GeneratedField::Ratings => {
                            if answer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("ratings"));
                            }
                            answer__ = map_.next_value::<::std::option::Option<_>>()?.map(answer::Answer::Ratings)
;
                        }
                        GeneratedField::ChatMessage => {
                            if answer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("chatMessage"));
                            }
                            answer__ = map_.next_value::<::std::option::Option<_>>()?.map(answer::Answer::ChatMessage)
;
                        }
                        GeneratedField::ChatMessages => {
                            if answer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("chatMessages"));
                            }
                            answer__ = map_.next_value::<::std::option::Option<_>>()?.map(answer::Answer::ChatMessages)
;
                        }
                        GeneratedField::MatchReady => {
                            if answer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("matchReady"));
                            }
                            answer__ = map_.next_value::<::std::option::Option<_>>()?.map(answer::Answer::MatchReady)
;
                        }
                        GeneratedField::Presences => {
                            if answer__.is_some() {
                                return Err(serde::de::Error::duplicate_field("presences"));
                            }
                            answer__ = map_.next_value::<::std::option::Option<_>>()?.map(answer::Answer::Presences)
;
                        }
                    }
                }
                Ok(Answer {
                    answer: answer__,
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Answer", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for AnswerProposal {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.match_id.is_empty() {
            len += 1;
        }
        if self.accept {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.AnswerProposal", len)?;
        if !self.match_id.is_empty() {
            struct_ser.serialize_field("match_id", &self.match_id)?;
        }
        if self.accept {
            struct_ser.serialize_field("accept", &self.accept)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for AnswerProposal {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "match_id",
            "matchId",
            "accept",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            MatchId,
            Accept,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "matchId" | "match_id" => Ok(GeneratedField::MatchId),
                            "accept" => Ok(GeneratedField::Accept),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = AnswerProposal;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.AnswerProposal")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<AnswerProposal, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut match_id__ = None;
                let mut accept__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::MatchId => {
                            if match_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("matchId"));
                            }
                            match_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Accept => {
                            if accept__.is_some() {
                                return Err(serde::de::Error::duplicate_field("accept"));
                            }
                            accept__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(AnswerProposal {
                    match_id: match_id__.unwrap_or_default(),
                    accept: accept__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.AnswerProposal", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Attribute {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.value.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Attribute", len)?;
        if let Some(v) = self.value.as_ref() {
            match v {
                attribute::Value::Number(v) => {
                    struct_ser.serialize_field("number", v)?;
                }
                attribute::Value::Text(v) => {
                    struct_ser.serialize_field("text", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Attribute {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "number",
            "text",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Number,
            Text,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "number" => Ok(GeneratedField::Number),
                            "text" => Ok(GeneratedField::Text),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Attribute;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Attribute")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Attribute, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut value__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Number => {
                            if value__.is_some() {
                                return Err(serde::de::Error::duplicate_field("number"));
                            }
                            value__ = map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| attribute::Value::Number(x.0));
                        }
                        GeneratedField::Text => {
                            if value__.is_some() {
                                return Err(serde::de::Error::duplicate_field("text"));
                            }
                            value__ = map_.next_value::<::std::option::Option<_>>()?.map(attribute::Value::Text);
                        }
                    }
                }
                Ok(Attribute {
                    value: value__,
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Attribute", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Call {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.id != 0 {
            len += 1;
        }
        if !self.idempotency_key.is_empty() {
            len += 1;
        }
        if self.seen != 0 {
            len += 1;
        }
        if self.call.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Call", len)?;
        if self.id != 0 {
            struct_ser.serialize_field("id", &self.id)?;
        }
        if !self.idempotency_key.is_empty() {
            struct_ser.serialize_field("idempotency_key", &self.idempotency_key)?;
        }
        if self.seen != 0 {
            struct_ser.serialize_field("seen", &self.seen)?;
        }
        if let Some(v) = self.call.as_ref() {
            match v {
                call::Call::Hello(v) => {
                    struct_ser.serialize_field("hello", v)?;
                }
                call::Call::SetProfile(v) => {
                    struct_ser.serialize_field("set_profile", v)?;
                }
                call::Call::ListRegions(v) => {
                    struct_ser.serialize_field("list_regions", v)?;
                }
                call::Call::FollowPlayers(v) => {
                    struct_ser.serialize_field("follow_players", v)?;
                }
                call::Call::SetPresence(v) => {
                    struct_ser.serialize_field("set_presence", v)?;
                }
                call::Call::CreateRoom(v) => {
                    struct_ser.serialize_field("create_room", v)?;
                }
                call::Call::JoinRoom(v) => {
                    struct_ser.serialize_field("join_room", v)?;
                }
                call::Call::LeaveRoom(v) => {
                    struct_ser.serialize_field("leave_room", v)?;
                }
                call::Call::KickMember(v) => {
                    struct_ser.serialize_field("kick_member", v)?;
                }
                call::Call::PromoteMember(v) => {
                    struct_ser.serialize_field("promote_member", v)?;
                }
                call::Call::SetReady(v) => {
                    struct_ser.serialize_field("set_ready", v)?;
                }
                call::Call::SetTeam(v) => {
                    struct_ser.serialize_field("set_team", v)?;
                }
                call::Call::ChangeRoom(v) => {
                    struct_ser.serialize_field("change_room", v)?;
                }
                call::Call::InvitePlayer(v) => {
                    struct_ser.serialize_field("invite_player", v)?;
                }
                call::Call::SearchRooms(v) => {
                    struct_ser.serialize_field("search_rooms", v)?;
                }
                call::Call::StartMatch(v) => {
                    struct_ser.serialize_field("start_match", v)?;
                }
                call::Call::JoinQueue(v) => {
                    struct_ser.serialize_field("join_queue", v)?;
                }
                call::Call::LeaveQueue(v) => {
                    struct_ser.serialize_field("leave_queue", v)?;
                }
                call::Call::AnswerProposal(v) => {
                    struct_ser.serialize_field("answer_proposal", v)?;
                }
                call::Call::RejoinMatch(v) => {
                    struct_ser.serialize_field("rejoin_match", v)?;
                }
                call::Call::ListMatches(v) => {
                    struct_ser.serialize_field("list_matches", v)?;
                }
                call::Call::GetRatings(v) => {
                    struct_ser.serialize_field("get_ratings", v)?;
                }
                call::Call::SendChat(v) => {
                    struct_ser.serialize_field("send_chat", v)?;
                }
                call::Call::EditChat(v) => {
                    struct_ser.serialize_field("edit_chat", v)?;
                }
                call::Call::DeleteChat(v) => {
                    struct_ser.serialize_field("delete_chat", v)?;
                }
                call::Call::ListChat(v) => {
                    struct_ser.serialize_field("list_chat", v)?;
                }
                call::Call::JoinChannel(v) => {
                    struct_ser.serialize_field("join_channel", v)?;
                }
                call::Call::LeaveChannel(v) => {
                    struct_ser.serialize_field("leave_channel", v)?;
                }
                call::Call::ReportChat(v) => {
                    struct_ser.serialize_field("report_chat", v)?;
                }
                call::Call::MutePlayer(v) => {
                    struct_ser.serialize_field("mute_player", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Call {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "id",
            "idempotency_key",
            "idempotencyKey",
            "seen",
            "hello",
            "set_profile",
            "setProfile",
            "list_regions",
            "listRegions",
            "follow_players",
            "followPlayers",
            "set_presence",
            "setPresence",
            "create_room",
            "createRoom",
            "join_room",
            "joinRoom",
            "leave_room",
            "leaveRoom",
            "kick_member",
            "kickMember",
            "promote_member",
            "promoteMember",
            "set_ready",
            "setReady",
            "set_team",
            "setTeam",
            "change_room",
            "changeRoom",
            "invite_player",
            "invitePlayer",
            "search_rooms",
            "searchRooms",
            "start_match",
            "startMatch",
            "join_queue",
            "joinQueue",
            "leave_queue",
            "leaveQueue",
            "answer_proposal",
            "answerProposal",
            "rejoin_match",
            "rejoinMatch",
            "list_matches",
            "listMatches",
            "get_ratings",
            "getRatings",
            "send_chat",
            "sendChat",
            "edit_chat",
            "editChat",
            "delete_chat",
            "deleteChat",
            "list_chat",
            "listChat",
            "join_channel",
            "joinChannel",
            "leave_channel",
            "leaveChannel",
            "report_chat",
            "reportChat",
            "mute_player",
            "mutePlayer",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Id,
            IdempotencyKey,
            Seen,
            Hello,
            SetProfile,
            ListRegions,
            FollowPlayers,
            SetPresence,
            CreateRoom,
            JoinRoom,
            LeaveRoom,
            KickMember,
            PromoteMember,
            SetReady,
            SetTeam,
            ChangeRoom,
            InvitePlayer,
            SearchRooms,
            StartMatch,
            JoinQueue,
            LeaveQueue,
            AnswerProposal,
            RejoinMatch,
            ListMatches,
            GetRatings,
            SendChat,
            EditChat,
            DeleteChat,
            ListChat,
            JoinChannel,
            LeaveChannel,
            ReportChat,
            MutePlayer,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "id" => Ok(GeneratedField::Id),
                            "idempotencyKey" | "idempotency_key" => Ok(GeneratedField::IdempotencyKey),
                            "seen" => Ok(GeneratedField::Seen),
                            "hello" => Ok(GeneratedField::Hello),
                            "setProfile" | "set_profile" => Ok(GeneratedField::SetProfile),
                            "listRegions" | "list_regions" => Ok(GeneratedField::ListRegions),
                            "followPlayers" | "follow_players" => Ok(GeneratedField::FollowPlayers),
                            "setPresence" | "set_presence" => Ok(GeneratedField::SetPresence),
                            "createRoom" | "create_room" => Ok(GeneratedField::CreateRoom),
                            "joinRoom" | "join_room" => Ok(GeneratedField::JoinRoom),
                            "leaveRoom" | "leave_room" => Ok(GeneratedField::LeaveRoom),
                            "kickMember" | "kick_member" => Ok(GeneratedField::KickMember),
                            "promoteMember" | "promote_member" => Ok(GeneratedField::PromoteMember),
                            "setReady" | "set_ready" => Ok(GeneratedField::SetReady),
                            "setTeam" | "set_team" => Ok(GeneratedField::SetTeam),
                            "changeRoom" | "change_room" => Ok(GeneratedField::ChangeRoom),
                            "invitePlayer" | "invite_player" => Ok(GeneratedField::InvitePlayer),
                            "searchRooms" | "search_rooms" => Ok(GeneratedField::SearchRooms),
                            "startMatch" | "start_match" => Ok(GeneratedField::StartMatch),
                            "joinQueue" | "join_queue" => Ok(GeneratedField::JoinQueue),
                            "leaveQueue" | "leave_queue" => Ok(GeneratedField::LeaveQueue),
                            "answerProposal" | "answer_proposal" => Ok(GeneratedField::AnswerProposal),
                            "rejoinMatch" | "rejoin_match" => Ok(GeneratedField::RejoinMatch),
                            "listMatches" | "list_matches" => Ok(GeneratedField::ListMatches),
                            "getRatings" | "get_ratings" => Ok(GeneratedField::GetRatings),
                            "sendChat" | "send_chat" => Ok(GeneratedField::SendChat),
                            "editChat" | "edit_chat" => Ok(GeneratedField::EditChat),
                            "deleteChat" | "delete_chat" => Ok(GeneratedField::DeleteChat),
                            "listChat" | "list_chat" => Ok(GeneratedField::ListChat),
                            "joinChannel" | "join_channel" => Ok(GeneratedField::JoinChannel),
                            "leaveChannel" | "leave_channel" => Ok(GeneratedField::LeaveChannel),
                            "reportChat" | "report_chat" => Ok(GeneratedField::ReportChat),
                            "mutePlayer" | "mute_player" => Ok(GeneratedField::MutePlayer),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Call;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Call")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Call, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut id__ = None;
                let mut idempotency_key__ = None;
                let mut seen__ = None;
                let mut call__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Id => {
                            if id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("id"));
                            }
                            id__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::IdempotencyKey => {
                            if idempotency_key__.is_some() {
                                return Err(serde::de::Error::duplicate_field("idempotencyKey"));
                            }
                            idempotency_key__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Seen => {
                            if seen__.is_some() {
                                return Err(serde::de::Error::duplicate_field("seen"));
                            }
                            seen__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Hello => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("hello"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::Hello)
;
                        }
                        GeneratedField::SetProfile => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("setProfile"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::SetProfile)
;
                        }
                        GeneratedField::ListRegions => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("listRegions"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::ListRegions)
;
                        }
                        GeneratedField::FollowPlayers => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("followPlayers"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::FollowPlayers)
;
                        }
                        GeneratedField::SetPresence => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("setPresence"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::SetPresence)
;
                        }
                        GeneratedField::CreateRoom => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("createRoom"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::CreateRoom)
;
                        }
                        GeneratedField::JoinRoom => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("joinRoom"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::JoinRoom)
;
                        }
                        GeneratedField::LeaveRoom => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("leaveRoom"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::LeaveRoom)
;
                        }
                        GeneratedField::KickMember => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("kickMember"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::KickMember)
;
                        }
                        GeneratedField::PromoteMember => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("promoteMember"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::PromoteMember)
;
                        }
                        GeneratedField::SetReady => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("setReady"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::SetReady)
;
                        }
                        GeneratedField::SetTeam => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("setTeam"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::SetTeam)
;
                        }
                        GeneratedField::ChangeRoom => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("changeRoom"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::ChangeRoom)
;
                        }
                        GeneratedField::InvitePlayer => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("invitePlayer"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::InvitePlayer)
;
                        }
                        GeneratedField::SearchRooms => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("searchRooms"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::SearchRooms)
;
                        }
                        GeneratedField::StartMatch => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("startMatch"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::StartMatch)
;
                        }
                        GeneratedField::JoinQueue => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("joinQueue"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::JoinQueue)
;
                        }
                        GeneratedField::LeaveQueue => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("leaveQueue"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::LeaveQueue)
;
                        }
                        GeneratedField::AnswerProposal => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("answerProposal"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::AnswerProposal)
;
                        }
                        GeneratedField::RejoinMatch => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rejoinMatch"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::RejoinMatch)
;
                        }
                        GeneratedField::ListMatches => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("listMatches"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::ListMatches)
;
                        }
                        GeneratedField::GetRatings => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("getRatings"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::GetRatings)
;
                        }
                        GeneratedField::SendChat => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sendChat"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::SendChat)
;
                        }
                        GeneratedField::EditChat => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("editChat"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::EditChat)
;
                        }
                        GeneratedField::DeleteChat => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("deleteChat"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::DeleteChat)
;
                        }
                        GeneratedField::ListChat => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("listChat"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::ListChat)
;
                        }
                        GeneratedField::JoinChannel => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("joinChannel"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::JoinChannel)
;
                        }
                        GeneratedField::LeaveChannel => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("leaveChannel"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::LeaveChannel)
;
                        }
                        GeneratedField::ReportChat => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("reportChat"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::ReportChat)
;
                        }
                        GeneratedField::MutePlayer => {
                            if call__.is_some() {
                                return Err(serde::de::Error::duplicate_field("mutePlayer"));
                            }
                            call__ = map_.next_value::<::std::option::Option<_>>()?.map(call::Call::MutePlayer)
;
                        }
                    }
                }
                Ok(Call {
                    id: id__.unwrap_or_default(),
                    idempotency_key: idempotency_key__.unwrap_or_default(),
                    seen: seen__.unwrap_or_default(),
                    call: call__,
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Call", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ChangeRoom {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.room_id.is_empty() {
            len += 1;
        }
        if self.settings.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.ChangeRoom", len)?;
        if !self.room_id.is_empty() {
            struct_ser.serialize_field("room_id", &self.room_id)?;
        }
        if let Some(v) = self.settings.as_ref() {
            struct_ser.serialize_field("settings", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ChangeRoom {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "room_id",
            "roomId",
            "settings",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            RoomId,
            Settings,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "roomId" | "room_id" => Ok(GeneratedField::RoomId),
                            "settings" => Ok(GeneratedField::Settings),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ChangeRoom;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.ChangeRoom")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ChangeRoom, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut room_id__ = None;
                let mut settings__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::RoomId => {
                            if room_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("roomId"));
                            }
                            room_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Settings => {
                            if settings__.is_some() {
                                return Err(serde::de::Error::duplicate_field("settings"));
                            }
                            settings__ = map_.next_value()?;
                        }
                    }
                }
                Ok(ChangeRoom {
                    room_id: room_id__.unwrap_or_default(),
                    settings: settings__,
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.ChangeRoom", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ChatDelivered {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.channel.is_empty() {
            len += 1;
        }
        if self.number != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.ChatDelivered", len)?;
        if !self.channel.is_empty() {
            struct_ser.serialize_field("channel", &self.channel)?;
        }
        if self.number != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("number", ToString::to_string(&self.number).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ChatDelivered {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "channel",
            "number",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Channel,
            Number,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "channel" => Ok(GeneratedField::Channel),
                            "number" => Ok(GeneratedField::Number),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ChatDelivered;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.ChatDelivered")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ChatDelivered, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut channel__ = None;
                let mut number__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Channel => {
                            if channel__.is_some() {
                                return Err(serde::de::Error::duplicate_field("channel"));
                            }
                            channel__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Number => {
                            if number__.is_some() {
                                return Err(serde::de::Error::duplicate_field("number"));
                            }
                            number__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(ChatDelivered {
                    channel: channel__.unwrap_or_default(),
                    number: number__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.ChatDelivered", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ChatMessage {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.channel.is_empty() {
            len += 1;
        }
        if self.number != 0 {
            len += 1;
        }
        if !self.player_id.is_empty() {
            len += 1;
        }
        if !self.text.is_empty() {
            len += 1;
        }
        if self.sent_at.is_some() {
            len += 1;
        }
        if self.edited_at.is_some() {
            len += 1;
        }
        if self.is_deleted {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.ChatMessage", len)?;
        if !self.channel.is_empty() {
            struct_ser.serialize_field("channel", &self.channel)?;
        }
        if self.number != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("number", ToString::to_string(&self.number).as_str())?;
        }
        if !self.player_id.is_empty() {
            struct_ser.serialize_field("player_id", &self.player_id)?;
        }
        if !self.text.is_empty() {
            struct_ser.serialize_field("text", &self.text)?;
        }
        if let Some(v) = self.sent_at.as_ref() {
            struct_ser.serialize_field("sent_at", v)?;
        }
        if let Some(v) = self.edited_at.as_ref() {
            struct_ser.serialize_field("edited_at", v)?;
        }
        if self.is_deleted {
            struct_ser.serialize_field("is_deleted", &self.is_deleted)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ChatMessage {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "channel",
            "number",
            "player_id",
            "playerId",
            "text",
            "sent_at",
            "sentAt",
            "edited_at",
            "editedAt",
            "is_deleted",
            "isDeleted",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Channel,
            Number,
            PlayerId,
            Text,
            SentAt,
            EditedAt,
            IsDeleted,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "channel" => Ok(GeneratedField::Channel),
                            "number" => Ok(GeneratedField::Number),
                            "playerId" | "player_id" => Ok(GeneratedField::PlayerId),
                            "text" => Ok(GeneratedField::Text),
                            "sentAt" | "sent_at" => Ok(GeneratedField::SentAt),
                            "editedAt" | "edited_at" => Ok(GeneratedField::EditedAt),
                            "isDeleted" | "is_deleted" => Ok(GeneratedField::IsDeleted),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ChatMessage;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.ChatMessage")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ChatMessage, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut channel__ = None;
                let mut number__ = None;
                let mut player_id__ = None;
                let mut text__ = None;
                let mut sent_at__ = None;
                let mut edited_at__ = None;
                let mut is_deleted__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Channel => {
                            if channel__.is_some() {
                                return Err(serde::de::Error::duplicate_field("channel"));
                            }
                            channel__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Number => {
                            if number__.is_some() {
                                return Err(serde::de::Error::duplicate_field("number"));
                            }
                            number__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::PlayerId => {
                            if player_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("playerId"));
                            }
                            player_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Text => {
                            if text__.is_some() {
                                return Err(serde::de::Error::duplicate_field("text"));
                            }
                            text__ = Some(map_.next_value()?);
                        }
                        GeneratedField::SentAt => {
                            if sent_at__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sentAt"));
                            }
                            sent_at__ = map_.next_value()?;
                        }
                        GeneratedField::EditedAt => {
                            if edited_at__.is_some() {
                                return Err(serde::de::Error::duplicate_field("editedAt"));
                            }
                            edited_at__ = map_.next_value()?;
                        }
                        GeneratedField::IsDeleted => {
                            if is_deleted__.is_some() {
                                return Err(serde::de::Error::duplicate_field("isDeleted"));
                            }
                            is_deleted__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(ChatMessage {
                    channel: channel__.unwrap_or_default(),
                    number: number__.unwrap_or_default(),
                    player_id: player_id__.unwrap_or_default(),
                    text: text__.unwrap_or_default(),
                    sent_at: sent_at__,
                    edited_at: edited_at__,
                    is_deleted: is_deleted__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.ChatMessage", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ChatMessages {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.messages.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.ChatMessages", len)?;
        if !self.messages.is_empty() {
            struct_ser.serialize_field("messages", &self.messages)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ChatMessages {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "messages",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Messages,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "messages" => Ok(GeneratedField::Messages),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ChatMessages;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.ChatMessages")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ChatMessages, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut messages__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Messages => {
                            if messages__.is_some() {
                                return Err(serde::de::Error::duplicate_field("messages"));
                            }
                            messages__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(ChatMessages {
                    messages: messages__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.ChatMessages", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for CreateRoom {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.kind != 0 {
            len += 1;
        }
        if self.settings.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.CreateRoom", len)?;
        if self.kind != 0 {
            let v = RoomKind::try_from(self.kind)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.kind)))?;
            struct_ser.serialize_field("kind", &v)?;
        }
        if let Some(v) = self.settings.as_ref() {
            struct_ser.serialize_field("settings", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for CreateRoom {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "kind",
            "settings",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Kind,
            Settings,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "kind" => Ok(GeneratedField::Kind),
                            "settings" => Ok(GeneratedField::Settings),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = CreateRoom;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.CreateRoom")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<CreateRoom, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut kind__ = None;
                let mut settings__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Kind => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("kind"));
                            }
                            kind__ = Some(map_.next_value::<RoomKind>()? as i32);
                        }
                        GeneratedField::Settings => {
                            if settings__.is_some() {
                                return Err(serde::de::Error::duplicate_field("settings"));
                            }
                            settings__ = map_.next_value()?;
                        }
                    }
                }
                Ok(CreateRoom {
                    kind: kind__.unwrap_or_default(),
                    settings: settings__,
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.CreateRoom", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for DeleteChat {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.channel.is_empty() {
            len += 1;
        }
        if self.number != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.DeleteChat", len)?;
        if !self.channel.is_empty() {
            struct_ser.serialize_field("channel", &self.channel)?;
        }
        if self.number != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("number", ToString::to_string(&self.number).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for DeleteChat {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "channel",
            "number",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Channel,
            Number,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "channel" => Ok(GeneratedField::Channel),
                            "number" => Ok(GeneratedField::Number),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = DeleteChat;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.DeleteChat")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<DeleteChat, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut channel__ = None;
                let mut number__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Channel => {
                            if channel__.is_some() {
                                return Err(serde::de::Error::duplicate_field("channel"));
                            }
                            channel__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Number => {
                            if number__.is_some() {
                                return Err(serde::de::Error::duplicate_field("number"));
                            }
                            number__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(DeleteChat {
                    channel: channel__.unwrap_or_default(),
                    number: number__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.DeleteChat", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Demand {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.attribute.is_empty() {
            len += 1;
        }
        if self.until.is_some() {
            len += 1;
        }
        if self.must.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Demand", len)?;
        if !self.attribute.is_empty() {
            struct_ser.serialize_field("attribute", &self.attribute)?;
        }
        if let Some(v) = self.until.as_ref() {
            struct_ser.serialize_field("until", v)?;
        }
        if let Some(v) = self.must.as_ref() {
            match v {
                demand::Must::BeOneOf(v) => {
                    struct_ser.serialize_field("be_one_of", v)?;
                }
                demand::Must::BeAtLeast(v) => {
                    struct_ser.serialize_field("be_at_least", v)?;
                }
                demand::Must::BeAtMost(v) => {
                    struct_ser.serialize_field("be_at_most", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Demand {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "attribute",
            "until",
            "be_one_of",
            "beOneOf",
            "be_at_least",
            "beAtLeast",
            "be_at_most",
            "beAtMost",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Attribute,
            Until,
            BeOneOf,
            BeAtLeast,
            BeAtMost,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "attribute" => Ok(GeneratedField::Attribute),
                            "until" => Ok(GeneratedField::Until),
                            "beOneOf" | "be_one_of" => Ok(GeneratedField::BeOneOf),
                            "beAtLeast" | "be_at_least" => Ok(GeneratedField::BeAtLeast),
                            "beAtMost" | "be_at_most" => Ok(GeneratedField::BeAtMost),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Demand;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Demand")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Demand, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut attribute__ = None;
                let mut until__ = None;
                let mut must__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Attribute => {
                            if attribute__.is_some() {
                                return Err(serde::de::Error::duplicate_field("attribute"));
                            }
                            attribute__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Until => {
                            if until__.is_some() {
                                return Err(serde::de::Error::duplicate_field("until"));
                            }
                            until__ = map_.next_value()?;
                        }
                        GeneratedField::BeOneOf => {
                            if must__.is_some() {
                                return Err(serde::de::Error::duplicate_field("beOneOf"));
                            }
                            must__ = map_.next_value::<::std::option::Option<_>>()?.map(demand::Must::BeOneOf)
;
                        }
                        GeneratedField::BeAtLeast => {
                            if must__.is_some() {
                                return Err(serde::de::Error::duplicate_field("beAtLeast"));
                            }
                            must__ = map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| demand::Must::BeAtLeast(x.0));
                        }
                        GeneratedField::BeAtMost => {
                            if must__.is_some() {
                                return Err(serde::de::Error::duplicate_field("beAtMost"));
                            }
                            must__ = map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| demand::Must::BeAtMost(x.0));
                        }
                    }
                }
                Ok(Demand {
                    attribute: attribute__.unwrap_or_default(),
                    until: until__,
                    must: must__,
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Demand", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Done {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let len = 0;
        let struct_ser = serializer.serialize_struct("muster.lobby.v1.Done", len)?;
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Done {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                            Err(serde::de::Error::unknown_field(value, FIELDS))
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Done;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Done")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Done, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                while map_.next_key::<GeneratedField>()?.is_some() {
                    let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                }
                Ok(Done {
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Done", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for EditChat {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.channel.is_empty() {
            len += 1;
        }
        if self.number != 0 {
            len += 1;
        }
        if !self.text.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.EditChat", len)?;
        if !self.channel.is_empty() {
            struct_ser.serialize_field("channel", &self.channel)?;
        }
        if self.number != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("number", ToString::to_string(&self.number).as_str())?;
        }
        if !self.text.is_empty() {
            struct_ser.serialize_field("text", &self.text)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for EditChat {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "channel",
            "number",
            "text",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Channel,
            Number,
            Text,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "channel" => Ok(GeneratedField::Channel),
                            "number" => Ok(GeneratedField::Number),
                            "text" => Ok(GeneratedField::Text),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = EditChat;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.EditChat")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<EditChat, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut channel__ = None;
                let mut number__ = None;
                let mut text__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Channel => {
                            if channel__.is_some() {
                                return Err(serde::de::Error::duplicate_field("channel"));
                            }
                            channel__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Number => {
                            if number__.is_some() {
                                return Err(serde::de::Error::duplicate_field("number"));
                            }
                            number__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Text => {
                            if text__.is_some() {
                                return Err(serde::de::Error::duplicate_field("text"));
                            }
                            text__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(EditChat {
                    channel: channel__.unwrap_or_default(),
                    number: number__.unwrap_or_default(),
                    text: text__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.EditChat", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Error {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.code.is_empty() {
            len += 1;
        }
        if !self.message.is_empty() {
            len += 1;
        }
        if !self.field.is_empty() {
            len += 1;
        }
        if self.retry_after.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Error", len)?;
        if !self.code.is_empty() {
            struct_ser.serialize_field("code", &self.code)?;
        }
        if !self.message.is_empty() {
            struct_ser.serialize_field("message", &self.message)?;
        }
        if !self.field.is_empty() {
            struct_ser.serialize_field("field", &self.field)?;
        }
        if let Some(v) = self.retry_after.as_ref() {
            struct_ser.serialize_field("retry_after", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Error {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "code",
            "message",
            "field",
            "retry_after",
            "retryAfter",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Code,
            Message,
            Field,
            RetryAfter,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "code" => Ok(GeneratedField::Code),
                            "message" => Ok(GeneratedField::Message),
                            "field" => Ok(GeneratedField::Field),
                            "retryAfter" | "retry_after" => Ok(GeneratedField::RetryAfter),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Error;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Error")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Error, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut code__ = None;
                let mut message__ = None;
                let mut field__ = None;
                let mut retry_after__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Code => {
                            if code__.is_some() {
                                return Err(serde::de::Error::duplicate_field("code"));
                            }
                            code__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Message => {
                            if message__.is_some() {
                                return Err(serde::de::Error::duplicate_field("message"));
                            }
                            message__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Field => {
                            if field__.is_some() {
                                return Err(serde::de::Error::duplicate_field("field"));
                            }
                            field__ = Some(map_.next_value()?);
                        }
                        GeneratedField::RetryAfter => {
                            if retry_after__.is_some() {
                                return Err(serde::de::Error::duplicate_field("retryAfter"));
                            }
                            retry_after__ = map_.next_value()?;
                        }
                    }
                }
                Ok(Error {
                    code: code__.unwrap_or_default(),
                    message: message__.unwrap_or_default(),
                    field: field__.unwrap_or_default(),
                    retry_after: retry_after__,
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Error", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Event {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.event.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Event", len)?;
        if let Some(v) = self.event.as_ref() {
            match v {
                event::Event::RoomChanged(v) => {
                    struct_ser.serialize_field("room_changed", v)?;
                }
                event::Event::Invited(v) => {
                    struct_ser.serialize_field("invited", v)?;
                }
                event::Event::Queue(v) => {
                    struct_ser.serialize_field("queue", v)?;
                }
                event::Event::Proposed(v) => {
                    struct_ser.serialize_field("proposed", v)?;
                }
                event::Event::MatchReady(v) => {
                    struct_ser.serialize_field("match_ready", v)?;
                }
                event::Event::MatchChanged(v) => {
                    struct_ser.serialize_field("match_changed", v)?;
                }
                event::Event::ChatMessage(v) => {
                    struct_ser.serialize_field("chat_message", v)?;
                }
                event::Event::ChatDelivered(v) => {
                    struct_ser.serialize_field("chat_delivered", v)?;
                }
                event::Event::Presences(v) => {
                    struct_ser.serialize_field("presences", v)?;
                }
                event::Event::Moving(v) => {
                    struct_ser.serialize_field("moving", v)?;
                }
                event::Event::State(v) => {
                    struct_ser.serialize_field("state", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Event {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "room_changed",
            "roomChanged",
            "invited",
            "queue",
            "proposed",
            "match_ready",
            "matchReady",
            "match_changed",
            "matchChanged",
            "chat_message",
            "chatMessage",
            "chat_delivered",
            "chatDelivered",
            "presences",
            "moving",
            "state",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            RoomChanged,
            Invited,
            Queue,
            Proposed,
            MatchReady,
            MatchChanged,
            ChatMessage,
            ChatDelivered,
            Presences,
            Moving,
            State,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "roomChanged" | "room_changed" => Ok(GeneratedField::RoomChanged),
                            "invited" => Ok(GeneratedField::Invited),
                            "queue" => Ok(GeneratedField::Queue),
                            "proposed" => Ok(GeneratedField::Proposed),
                            "matchReady" | "match_ready" => Ok(GeneratedField::MatchReady),
                            "matchChanged" | "match_changed" => Ok(GeneratedField::MatchChanged),
                            "chatMessage" | "chat_message" => Ok(GeneratedField::ChatMessage),
                            "chatDelivered" | "chat_delivered" => Ok(GeneratedField::ChatDelivered),
                            "presences" => Ok(GeneratedField::Presences),
                            "moving" => Ok(GeneratedField::Moving),
                            "state" => Ok(GeneratedField::State),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Event;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Event")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Event, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut event__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::RoomChanged => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("roomChanged"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(event::Event::RoomChanged)
;
                        }
                        GeneratedField::Invited => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("invited"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(event::Event::Invited)
;
                        }
                        GeneratedField::Queue => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("queue"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(event::Event::Queue)
;
                        }
                        GeneratedField::Proposed => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("proposed"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(event::Event::Proposed)
;
                        }
                        GeneratedField::MatchReady => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("matchReady"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(event::Event::MatchReady)
;
                        }
                        GeneratedField::MatchChanged => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("matchChanged"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(event::Event::MatchChanged)
;
                        }
                        GeneratedField::ChatMessage => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("chatMessage"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(event::Event::ChatMessage)
;
                        }
                        GeneratedField::ChatDelivered => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("chatDelivered"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(event::Event::ChatDelivered)
;
                        }
                        GeneratedField::Presences => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("presences"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(event::Event::Presences)
;
                        }
                        GeneratedField::Moving => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("moving"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(event::Event::Moving)
;
                        }
                        GeneratedField::State => {
                            if event__.is_some() {
                                return Err(serde::de::Error::duplicate_field("state"));
                            }
                            event__ = map_.next_value::<::std::option::Option<_>>()?.map(event::Event::State)
;
                        }
                    }
                }
                Ok(Event {
                    event: event__,
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Event", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for FollowPlayers {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.player_ids.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.FollowPlayers", len)?;
        if !self.player_ids.is_empty() {
            struct_ser.serialize_field("player_ids", &self.player_ids)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for FollowPlayers {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "player_ids",
            "playerIds",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            PlayerIds,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "playerIds" | "player_ids" => Ok(GeneratedField::PlayerIds),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = FollowPlayers;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.FollowPlayers")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<FollowPlayers, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut player_ids__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::PlayerIds => {
                            if player_ids__.is_some() {
                                return Err(serde::de::Error::duplicate_field("playerIds"));
                            }
                            player_ids__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(FollowPlayers {
                    player_ids: player_ids__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.FollowPlayers", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for GetRatings {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.player_id.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.GetRatings", len)?;
        if !self.player_id.is_empty() {
            struct_ser.serialize_field("player_id", &self.player_id)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for GetRatings {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "player_id",
            "playerId",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            PlayerId,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "playerId" | "player_id" => Ok(GeneratedField::PlayerId),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = GetRatings;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.GetRatings")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<GetRatings, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut player_id__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::PlayerId => {
                            if player_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("playerId"));
                            }
                            player_id__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(GetRatings {
                    player_id: player_id__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.GetRatings", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Hello {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.access_token.is_empty() {
            len += 1;
        }
        if !self.dpop_proof.is_empty() {
            len += 1;
        }
        if self.resume.is_some() {
            len += 1;
        }
        if !self.trace_context.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Hello", len)?;
        if !self.access_token.is_empty() {
            struct_ser.serialize_field("access_token", &self.access_token)?;
        }
        if !self.dpop_proof.is_empty() {
            struct_ser.serialize_field("dpop_proof", &self.dpop_proof)?;
        }
        if let Some(v) = self.resume.as_ref() {
            struct_ser.serialize_field("resume", v)?;
        }
        if !self.trace_context.is_empty() {
            struct_ser.serialize_field("trace_context", &self.trace_context)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Hello {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "access_token",
            "accessToken",
            "dpop_proof",
            "dpopProof",
            "resume",
            "trace_context",
            "traceContext",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            AccessToken,
            DpopProof,
            Resume,
            TraceContext,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "accessToken" | "access_token" => Ok(GeneratedField::AccessToken),
                            "dpopProof" | "dpop_proof" => Ok(GeneratedField::DpopProof),
                            "resume" => Ok(GeneratedField::Resume),
                            "traceContext" | "trace_context" => Ok(GeneratedField::TraceContext),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Hello;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Hello")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Hello, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut access_token__ = None;
                let mut dpop_proof__ = None;
                let mut resume__ = None;
                let mut trace_context__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::AccessToken => {
                            if access_token__.is_some() {
                                return Err(serde::de::Error::duplicate_field("accessToken"));
                            }
                            access_token__ = Some(map_.next_value()?);
                        }
                        GeneratedField::DpopProof => {
                            if dpop_proof__.is_some() {
                                return Err(serde::de::Error::duplicate_field("dpopProof"));
                            }
                            dpop_proof__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Resume => {
                            if resume__.is_some() {
                                return Err(serde::de::Error::duplicate_field("resume"));
                            }
                            resume__ = map_.next_value()?;
                        }
                        GeneratedField::TraceContext => {
                            if trace_context__.is_some() {
                                return Err(serde::de::Error::duplicate_field("traceContext"));
                            }
                            trace_context__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Hello {
                    access_token: access_token__.unwrap_or_default(),
                    dpop_proof: dpop_proof__.unwrap_or_default(),
                    resume: resume__,
                    trace_context: trace_context__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Hello", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for InvitePlayer {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.room_id.is_empty() {
            len += 1;
        }
        if !self.player_id.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.InvitePlayer", len)?;
        if !self.room_id.is_empty() {
            struct_ser.serialize_field("room_id", &self.room_id)?;
        }
        if !self.player_id.is_empty() {
            struct_ser.serialize_field("player_id", &self.player_id)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for InvitePlayer {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "room_id",
            "roomId",
            "player_id",
            "playerId",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            RoomId,
            PlayerId,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "roomId" | "room_id" => Ok(GeneratedField::RoomId),
                            "playerId" | "player_id" => Ok(GeneratedField::PlayerId),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = InvitePlayer;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.InvitePlayer")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<InvitePlayer, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut room_id__ = None;
                let mut player_id__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::RoomId => {
                            if room_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("roomId"));
                            }
                            room_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::PlayerId => {
                            if player_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("playerId"));
                            }
                            player_id__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(InvitePlayer {
                    room_id: room_id__.unwrap_or_default(),
                    player_id: player_id__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.InvitePlayer", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Invited {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.room.is_some() {
            len += 1;
        }
        if !self.player_id.is_empty() {
            len += 1;
        }
        if self.expires_at.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Invited", len)?;
        if let Some(v) = self.room.as_ref() {
            struct_ser.serialize_field("room", v)?;
        }
        if !self.player_id.is_empty() {
            struct_ser.serialize_field("player_id", &self.player_id)?;
        }
        if let Some(v) = self.expires_at.as_ref() {
            struct_ser.serialize_field("expires_at", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Invited {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "room",
            "player_id",
            "playerId",
            "expires_at",
            "expiresAt",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Room,
            PlayerId,
            ExpiresAt,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "room" => Ok(GeneratedField::Room),
                            "playerId" | "player_id" => Ok(GeneratedField::PlayerId),
                            "expiresAt" | "expires_at" => Ok(GeneratedField::ExpiresAt),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Invited;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Invited")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Invited, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut room__ = None;
                let mut player_id__ = None;
                let mut expires_at__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Room => {
                            if room__.is_some() {
                                return Err(serde::de::Error::duplicate_field("room"));
                            }
                            room__ = map_.next_value()?;
                        }
                        GeneratedField::PlayerId => {
                            if player_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("playerId"));
                            }
                            player_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ExpiresAt => {
                            if expires_at__.is_some() {
                                return Err(serde::de::Error::duplicate_field("expiresAt"));
                            }
                            expires_at__ = map_.next_value()?;
                        }
                    }
                }
                Ok(Invited {
                    room: room__,
                    player_id: player_id__.unwrap_or_default(),
                    expires_at: expires_at__,
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Invited", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for JoinChannel {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.channel.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.JoinChannel", len)?;
        if !self.channel.is_empty() {
            struct_ser.serialize_field("channel", &self.channel)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for JoinChannel {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "channel",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Channel,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "channel" => Ok(GeneratedField::Channel),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = JoinChannel;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.JoinChannel")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<JoinChannel, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut channel__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Channel => {
                            if channel__.is_some() {
                                return Err(serde::de::Error::duplicate_field("channel"));
                            }
                            channel__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(JoinChannel {
                    channel: channel__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.JoinChannel", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for JoinQueue {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.queue.is_empty() {
            len += 1;
        }
        if !self.demands.is_empty() {
            len += 1;
        }
        if !self.avoided.is_empty() {
            len += 1;
        }
        if !self.trace_context.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.JoinQueue", len)?;
        if !self.queue.is_empty() {
            struct_ser.serialize_field("queue", &self.queue)?;
        }
        if !self.demands.is_empty() {
            struct_ser.serialize_field("demands", &self.demands)?;
        }
        if !self.avoided.is_empty() {
            struct_ser.serialize_field("avoided", &self.avoided)?;
        }
        if !self.trace_context.is_empty() {
            struct_ser.serialize_field("trace_context", &self.trace_context)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for JoinQueue {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "queue",
            "demands",
            "avoided",
            "trace_context",
            "traceContext",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Queue,
            Demands,
            Avoided,
            TraceContext,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "queue" => Ok(GeneratedField::Queue),
                            "demands" => Ok(GeneratedField::Demands),
                            "avoided" => Ok(GeneratedField::Avoided),
                            "traceContext" | "trace_context" => Ok(GeneratedField::TraceContext),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = JoinQueue;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.JoinQueue")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<JoinQueue, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut queue__ = None;
                let mut demands__ = None;
                let mut avoided__ = None;
                let mut trace_context__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Queue => {
                            if queue__.is_some() {
                                return Err(serde::de::Error::duplicate_field("queue"));
                            }
                            queue__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Demands => {
                            if demands__.is_some() {
                                return Err(serde::de::Error::duplicate_field("demands"));
                            }
                            demands__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Avoided => {
                            if avoided__.is_some() {
                                return Err(serde::de::Error::duplicate_field("avoided"));
                            }
                            avoided__ = Some(map_.next_value()?);
                        }
                        GeneratedField::TraceContext => {
                            if trace_context__.is_some() {
                                return Err(serde::de::Error::duplicate_field("traceContext"));
                            }
                            trace_context__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(JoinQueue {
                    queue: queue__.unwrap_or_default(),
                    demands: demands__.unwrap_or_default(),
                    avoided: avoided__.unwrap_or_default(),
                    trace_context: trace_context__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.JoinQueue", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for JoinRoom {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.by.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.JoinRoom", len)?;
        if let Some(v) = self.by.as_ref() {
            match v {
                join_room::By::RoomId(v) => {
                    struct_ser.serialize_field("room_id", v)?;
                }
                join_room::By::Code(v) => {
                    struct_ser.serialize_field("code", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for JoinRoom {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "room_id",
            "roomId",
            "code",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            RoomId,
            Code,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "roomId" | "room_id" => Ok(GeneratedField::RoomId),
                            "code" => Ok(GeneratedField::Code),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = JoinRoom;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.JoinRoom")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<JoinRoom, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut by__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::RoomId => {
                            if by__.is_some() {
                                return Err(serde::de::Error::duplicate_field("roomId"));
                            }
                            by__ = map_.next_value::<::std::option::Option<_>>()?.map(join_room::By::RoomId);
                        }
                        GeneratedField::Code => {
                            if by__.is_some() {
                                return Err(serde::de::Error::duplicate_field("code"));
                            }
                            by__ = map_.next_value::<::std::option::Option<_>>()?.map(join_room::By::Code);
                        }
                    }
                }
                Ok(JoinRoom {
                    by: by__,
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.JoinRoom", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for KickMember {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.room_id.is_empty() {
            len += 1;
        }
        if !self.player_id.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.KickMember", len)?;
        if !self.room_id.is_empty() {
            struct_ser.serialize_field("room_id", &self.room_id)?;
        }
        if !self.player_id.is_empty() {
            struct_ser.serialize_field("player_id", &self.player_id)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for KickMember {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "room_id",
            "roomId",
            "player_id",
            "playerId",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            RoomId,
            PlayerId,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "roomId" | "room_id" => Ok(GeneratedField::RoomId),
                            "playerId" | "player_id" => Ok(GeneratedField::PlayerId),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = KickMember;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.KickMember")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<KickMember, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut room_id__ = None;
                let mut player_id__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::RoomId => {
                            if room_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("roomId"));
                            }
                            room_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::PlayerId => {
                            if player_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("playerId"));
                            }
                            player_id__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(KickMember {
                    room_id: room_id__.unwrap_or_default(),
                    player_id: player_id__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.KickMember", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for LeaveChannel {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.channel.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.LeaveChannel", len)?;
        if !self.channel.is_empty() {
            struct_ser.serialize_field("channel", &self.channel)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for LeaveChannel {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "channel",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Channel,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "channel" => Ok(GeneratedField::Channel),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = LeaveChannel;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.LeaveChannel")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<LeaveChannel, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut channel__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Channel => {
                            if channel__.is_some() {
                                return Err(serde::de::Error::duplicate_field("channel"));
                            }
                            channel__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(LeaveChannel {
                    channel: channel__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.LeaveChannel", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for LeaveQueue {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let len = 0;
        let struct_ser = serializer.serialize_struct("muster.lobby.v1.LeaveQueue", len)?;
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for LeaveQueue {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                            Err(serde::de::Error::unknown_field(value, FIELDS))
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = LeaveQueue;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.LeaveQueue")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<LeaveQueue, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                while map_.next_key::<GeneratedField>()?.is_some() {
                    let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                }
                Ok(LeaveQueue {
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.LeaveQueue", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for LeaveRoom {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.room_id.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.LeaveRoom", len)?;
        if !self.room_id.is_empty() {
            struct_ser.serialize_field("room_id", &self.room_id)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for LeaveRoom {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "room_id",
            "roomId",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            RoomId,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "roomId" | "room_id" => Ok(GeneratedField::RoomId),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = LeaveRoom;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.LeaveRoom")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<LeaveRoom, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut room_id__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::RoomId => {
                            if room_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("roomId"));
                            }
                            room_id__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(LeaveRoom {
                    room_id: room_id__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.LeaveRoom", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ListChat {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.channel.is_empty() {
            len += 1;
        }
        if self.before != 0 {
            len += 1;
        }
        if self.limit != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.ListChat", len)?;
        if !self.channel.is_empty() {
            struct_ser.serialize_field("channel", &self.channel)?;
        }
        if self.before != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("before", ToString::to_string(&self.before).as_str())?;
        }
        if self.limit != 0 {
            struct_ser.serialize_field("limit", &self.limit)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ListChat {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "channel",
            "before",
            "limit",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Channel,
            Before,
            Limit,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "channel" => Ok(GeneratedField::Channel),
                            "before" => Ok(GeneratedField::Before),
                            "limit" => Ok(GeneratedField::Limit),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ListChat;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.ListChat")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ListChat, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut channel__ = None;
                let mut before__ = None;
                let mut limit__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Channel => {
                            if channel__.is_some() {
                                return Err(serde::de::Error::duplicate_field("channel"));
                            }
                            channel__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Before => {
                            if before__.is_some() {
                                return Err(serde::de::Error::duplicate_field("before"));
                            }
                            before__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Limit => {
                            if limit__.is_some() {
                                return Err(serde::de::Error::duplicate_field("limit"));
                            }
                            limit__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(ListChat {
                    channel: channel__.unwrap_or_default(),
                    before: before__.unwrap_or_default(),
                    limit: limit__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.ListChat", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ListMatches {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.before.is_empty() {
            len += 1;
        }
        if self.limit != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.ListMatches", len)?;
        if !self.before.is_empty() {
            struct_ser.serialize_field("before", &self.before)?;
        }
        if self.limit != 0 {
            struct_ser.serialize_field("limit", &self.limit)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ListMatches {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "before",
            "limit",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Before,
            Limit,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "before" => Ok(GeneratedField::Before),
                            "limit" => Ok(GeneratedField::Limit),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ListMatches;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.ListMatches")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ListMatches, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut before__ = None;
                let mut limit__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Before => {
                            if before__.is_some() {
                                return Err(serde::de::Error::duplicate_field("before"));
                            }
                            before__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Limit => {
                            if limit__.is_some() {
                                return Err(serde::de::Error::duplicate_field("limit"));
                            }
                            limit__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(ListMatches {
                    before: before__.unwrap_or_default(),
                    limit: limit__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.ListMatches", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ListRegions {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let len = 0;
        let struct_ser = serializer.serialize_struct("muster.lobby.v1.ListRegions", len)?;
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ListRegions {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                            Err(serde::de::Error::unknown_field(value, FIELDS))
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ListRegions;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.ListRegions")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ListRegions, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                while map_.next_key::<GeneratedField>()?.is_some() {
                    let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                }
                Ok(ListRegions {
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.ListRegions", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Match {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.match_id.is_empty() {
            len += 1;
        }
        if !self.queue.is_empty() {
            len += 1;
        }
        if !self.region.is_empty() {
            len += 1;
        }
        if self.status != 0 {
            len += 1;
        }
        if !self.seats.is_empty() {
            len += 1;
        }
        if self.made_at.is_some() {
            len += 1;
        }
        if self.ended_at.is_some() {
            len += 1;
        }
        if !self.result.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Match", len)?;
        if !self.match_id.is_empty() {
            struct_ser.serialize_field("match_id", &self.match_id)?;
        }
        if !self.queue.is_empty() {
            struct_ser.serialize_field("queue", &self.queue)?;
        }
        if !self.region.is_empty() {
            struct_ser.serialize_field("region", &self.region)?;
        }
        if self.status != 0 {
            let v = r#match::Status::try_from(self.status)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.status)))?;
            struct_ser.serialize_field("status", &v)?;
        }
        if !self.seats.is_empty() {
            struct_ser.serialize_field("seats", &self.seats)?;
        }
        if let Some(v) = self.made_at.as_ref() {
            struct_ser.serialize_field("made_at", v)?;
        }
        if let Some(v) = self.ended_at.as_ref() {
            struct_ser.serialize_field("ended_at", v)?;
        }
        if !self.result.is_empty() {
            struct_ser.serialize_field("result", &self.result)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Match {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "match_id",
            "matchId",
            "queue",
            "region",
            "status",
            "seats",
            "made_at",
            "madeAt",
            "ended_at",
            "endedAt",
            "result",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            MatchId,
            Queue,
            Region,
            Status,
            Seats,
            MadeAt,
            EndedAt,
            Result,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "matchId" | "match_id" => Ok(GeneratedField::MatchId),
                            "queue" => Ok(GeneratedField::Queue),
                            "region" => Ok(GeneratedField::Region),
                            "status" => Ok(GeneratedField::Status),
                            "seats" => Ok(GeneratedField::Seats),
                            "madeAt" | "made_at" => Ok(GeneratedField::MadeAt),
                            "endedAt" | "ended_at" => Ok(GeneratedField::EndedAt),
                            "result" => Ok(GeneratedField::Result),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Match;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Match")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Match, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut match_id__ = None;
                let mut queue__ = None;
                let mut region__ = None;
                let mut status__ = None;
                let mut seats__ = None;
                let mut made_at__ = None;
                let mut ended_at__ = None;
                let mut result__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::MatchId => {
                            if match_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("matchId"));
                            }
                            match_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Queue => {
                            if queue__.is_some() {
                                return Err(serde::de::Error::duplicate_field("queue"));
                            }
                            queue__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Region => {
                            if region__.is_some() {
                                return Err(serde::de::Error::duplicate_field("region"));
                            }
                            region__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Status => {
                            if status__.is_some() {
                                return Err(serde::de::Error::duplicate_field("status"));
                            }
                            status__ = Some(map_.next_value::<r#match::Status>()? as i32);
                        }
                        GeneratedField::Seats => {
                            if seats__.is_some() {
                                return Err(serde::de::Error::duplicate_field("seats"));
                            }
                            seats__ = Some(map_.next_value()?);
                        }
                        GeneratedField::MadeAt => {
                            if made_at__.is_some() {
                                return Err(serde::de::Error::duplicate_field("madeAt"));
                            }
                            made_at__ = map_.next_value()?;
                        }
                        GeneratedField::EndedAt => {
                            if ended_at__.is_some() {
                                return Err(serde::de::Error::duplicate_field("endedAt"));
                            }
                            ended_at__ = map_.next_value()?;
                        }
                        GeneratedField::Result => {
                            if result__.is_some() {
                                return Err(serde::de::Error::duplicate_field("result"));
                            }
                            result__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Match {
                    match_id: match_id__.unwrap_or_default(),
                    queue: queue__.unwrap_or_default(),
                    region: region__.unwrap_or_default(),
                    status: status__.unwrap_or_default(),
                    seats: seats__.unwrap_or_default(),
                    made_at: made_at__,
                    ended_at: ended_at__,
                    result: result__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Match", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for r#match::Status {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "UNSPECIFIED",
            Self::Started => "STARTED",
            Self::Ended => "ENDED",
            Self::Lost => "LOST",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for r#match::Status {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "UNSPECIFIED",
            "STARTED",
            "ENDED",
            "LOST",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = r#match::Status;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "UNSPECIFIED" => Ok(r#match::Status::Unspecified),
                    "STARTED" => Ok(r#match::Status::Started),
                    "ENDED" => Ok(r#match::Status::Ended),
                    "LOST" => Ok(r#match::Status::Lost),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for MatchChanged {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.r#match.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.MatchChanged", len)?;
        if let Some(v) = self.r#match.as_ref() {
            struct_ser.serialize_field("match", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for MatchChanged {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "match",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Match,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "match" => Ok(GeneratedField::Match),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = MatchChanged;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.MatchChanged")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<MatchChanged, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut r#match__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Match => {
                            if r#match__.is_some() {
                                return Err(serde::de::Error::duplicate_field("match"));
                            }
                            r#match__ = map_.next_value()?;
                        }
                    }
                }
                Ok(MatchChanged {
                    r#match: r#match__,
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.MatchChanged", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for MatchReady {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.game_server.is_empty() {
            len += 1;
        }
        if !self.session_key.is_empty() {
            len += 1;
        }
        if !self.connect_token.is_empty() {
            len += 1;
        }
        if self.r#match.is_some() {
            len += 1;
        }
        if self.token_expires_at.is_some() {
            len += 1;
        }
        if !self.reconnection_token.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.MatchReady", len)?;
        if !self.game_server.is_empty() {
            struct_ser.serialize_field("game_server", &self.game_server)?;
        }
        if !self.session_key.is_empty() {
            struct_ser.serialize_field("session_key", &self.session_key)?;
        }
        if !self.connect_token.is_empty() {
            struct_ser.serialize_field("connect_token", &self.connect_token)?;
        }
        if let Some(v) = self.r#match.as_ref() {
            struct_ser.serialize_field("match", v)?;
        }
        if let Some(v) = self.token_expires_at.as_ref() {
            struct_ser.serialize_field("token_expires_at", v)?;
        }
        if !self.reconnection_token.is_empty() {
            struct_ser.serialize_field("reconnection_token", &self.reconnection_token)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for MatchReady {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "game_server",
            "gameServer",
            "session_key",
            "sessionKey",
            "connect_token",
            "connectToken",
            "match",
            "token_expires_at",
            "tokenExpiresAt",
            "reconnection_token",
            "reconnectionToken",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            GameServer,
            SessionKey,
            ConnectToken,
            Match,
            TokenExpiresAt,
            ReconnectionToken,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "gameServer" | "game_server" => Ok(GeneratedField::GameServer),
                            "sessionKey" | "session_key" => Ok(GeneratedField::SessionKey),
                            "connectToken" | "connect_token" => Ok(GeneratedField::ConnectToken),
                            "match" => Ok(GeneratedField::Match),
                            "tokenExpiresAt" | "token_expires_at" => Ok(GeneratedField::TokenExpiresAt),
                            "reconnectionToken" | "reconnection_token" => Ok(GeneratedField::ReconnectionToken),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = MatchReady;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.MatchReady")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<MatchReady, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut game_server__ = None;
                let mut session_key__ = None;
                let mut connect_token__ = None;
                let mut r#match__ = None;
                let mut token_expires_at__ = None;
                let mut reconnection_token__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::GameServer => {
                            if game_server__.is_some() {
                                return Err(serde::de::Error::duplicate_field("gameServer"));
                            }
                            game_server__ = Some(map_.next_value()?);
                        }
                        GeneratedField::SessionKey => {
                            if session_key__.is_some() {
                                return Err(serde::de::Error::duplicate_field("sessionKey"));
                            }
                            session_key__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ConnectToken => {
                            if connect_token__.is_some() {
                                return Err(serde::de::Error::duplicate_field("connectToken"));
                            }
                            connect_token__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Match => {
                            if r#match__.is_some() {
                                return Err(serde::de::Error::duplicate_field("match"));
                            }
                            r#match__ = map_.next_value()?;
                        }
                        GeneratedField::TokenExpiresAt => {
                            if token_expires_at__.is_some() {
                                return Err(serde::de::Error::duplicate_field("tokenExpiresAt"));
                            }
                            token_expires_at__ = map_.next_value()?;
                        }
                        GeneratedField::ReconnectionToken => {
                            if reconnection_token__.is_some() {
                                return Err(serde::de::Error::duplicate_field("reconnectionToken"));
                            }
                            reconnection_token__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(MatchReady {
                    game_server: game_server__.unwrap_or_default(),
                    session_key: session_key__.unwrap_or_default(),
                    connect_token: connect_token__.unwrap_or_default(),
                    r#match: r#match__,
                    token_expires_at: token_expires_at__,
                    reconnection_token: reconnection_token__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.MatchReady", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Matches {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.matches.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Matches", len)?;
        if !self.matches.is_empty() {
            struct_ser.serialize_field("matches", &self.matches)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Matches {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "matches",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Matches,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "matches" => Ok(GeneratedField::Matches),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Matches;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Matches")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Matches, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut matches__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Matches => {
                            if matches__.is_some() {
                                return Err(serde::de::Error::duplicate_field("matches"));
                            }
                            matches__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Matches {
                    matches: matches__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Matches", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Member {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.player_id.is_empty() {
            len += 1;
        }
        if self.is_ready {
            len += 1;
        }
        if self.team != 0 {
            len += 1;
        }
        if self.is_connected {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Member", len)?;
        if !self.player_id.is_empty() {
            struct_ser.serialize_field("player_id", &self.player_id)?;
        }
        if self.is_ready {
            struct_ser.serialize_field("is_ready", &self.is_ready)?;
        }
        if self.team != 0 {
            struct_ser.serialize_field("team", &self.team)?;
        }
        if self.is_connected {
            struct_ser.serialize_field("is_connected", &self.is_connected)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Member {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "player_id",
            "playerId",
            "is_ready",
            "isReady",
            "team",
            "is_connected",
            "isConnected",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            PlayerId,
            IsReady,
            Team,
            IsConnected,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "playerId" | "player_id" => Ok(GeneratedField::PlayerId),
                            "isReady" | "is_ready" => Ok(GeneratedField::IsReady),
                            "team" => Ok(GeneratedField::Team),
                            "isConnected" | "is_connected" => Ok(GeneratedField::IsConnected),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Member;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Member")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Member, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut player_id__ = None;
                let mut is_ready__ = None;
                let mut team__ = None;
                let mut is_connected__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::PlayerId => {
                            if player_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("playerId"));
                            }
                            player_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::IsReady => {
                            if is_ready__.is_some() {
                                return Err(serde::de::Error::duplicate_field("isReady"));
                            }
                            is_ready__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Team => {
                            if team__.is_some() {
                                return Err(serde::de::Error::duplicate_field("team"));
                            }
                            team__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::IsConnected => {
                            if is_connected__.is_some() {
                                return Err(serde::de::Error::duplicate_field("isConnected"));
                            }
                            is_connected__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Member {
                    player_id: player_id__.unwrap_or_default(),
                    is_ready: is_ready__.unwrap_or_default(),
                    team: team__.unwrap_or_default(),
                    is_connected: is_connected__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Member", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Message {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.number != 0 {
            len += 1;
        }
        if self.id != 0 {
            len += 1;
        }
        if self.message.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Message", len)?;
        if self.number != 0 {
            struct_ser.serialize_field("number", &self.number)?;
        }
        if self.id != 0 {
            struct_ser.serialize_field("id", &self.id)?;
        }
        if let Some(v) = self.message.as_ref() {
            match v {
                message::Message::Error(v) => {
                    struct_ser.serialize_field("error", v)?;
                }
                message::Message::Answer(v) => {
                    struct_ser.serialize_field("answer", v)?;
                }
                message::Message::Event(v) => {
                    struct_ser.serialize_field("event", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Message {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "number",
            "id",
            "error",
            "answer",
            "event",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Number,
            Id,
            Error,
            Answer,
            Event,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "number" => Ok(GeneratedField::Number),
                            "id" => Ok(GeneratedField::Id),
                            "error" => Ok(GeneratedField::Error),
                            "answer" => Ok(GeneratedField::Answer),
                            "event" => Ok(GeneratedField::Event),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Message;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Message")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Message, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut number__ = None;
                let mut id__ = None;
                let mut message__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Number => {
                            if number__.is_some() {
                                return Err(serde::de::Error::duplicate_field("number"));
                            }
                            number__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Id => {
                            if id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("id"));
                            }
                            id__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Error => {
                            if message__.is_some() {
                                return Err(serde::de::Error::duplicate_field("error"));
                            }
                            message__ = map_.next_value::<::std::option::Option<_>>()?.map(message::Message::Error)
;
                        }
                        GeneratedField::Answer => {
                            if message__.is_some() {
                                return Err(serde::de::Error::duplicate_field("answer"));
                            }
                            message__ = map_.next_value::<::std::option::Option<_>>()?.map(message::Message::Answer)
;
                        }
                        GeneratedField::Event => {
                            if message__.is_some() {
                                return Err(serde::de::Error::duplicate_field("event"));
                            }
                            message__ = map_.next_value::<::std::option::Option<_>>()?.map(message::Message::Event)
;
                        }
                    }
                }
                Ok(Message {
                    number: number__.unwrap_or_default(),
                    id: id__.unwrap_or_default(),
                    message: message__,
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Message", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Moving {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.url.is_empty() {
            len += 1;
        }
        if self.within.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Moving", len)?;
        if !self.url.is_empty() {
            struct_ser.serialize_field("url", &self.url)?;
        }
        if let Some(v) = self.within.as_ref() {
            struct_ser.serialize_field("within", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Moving {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "url",
            "within",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Url,
            Within,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "url" => Ok(GeneratedField::Url),
                            "within" => Ok(GeneratedField::Within),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Moving;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Moving")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Moving, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut url__ = None;
                let mut within__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Url => {
                            if url__.is_some() {
                                return Err(serde::de::Error::duplicate_field("url"));
                            }
                            url__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Within => {
                            if within__.is_some() {
                                return Err(serde::de::Error::duplicate_field("within"));
                            }
                            within__ = map_.next_value()?;
                        }
                    }
                }
                Ok(Moving {
                    url: url__.unwrap_or_default(),
                    within: within__,
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Moving", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for MutePlayer {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.player_id.is_empty() {
            len += 1;
        }
        if self.duration.is_some() {
            len += 1;
        }
        if !self.reason.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.MutePlayer", len)?;
        if !self.player_id.is_empty() {
            struct_ser.serialize_field("player_id", &self.player_id)?;
        }
        if let Some(v) = self.duration.as_ref() {
            struct_ser.serialize_field("duration", v)?;
        }
        if !self.reason.is_empty() {
            struct_ser.serialize_field("reason", &self.reason)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for MutePlayer {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "player_id",
            "playerId",
            "duration",
            "reason",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            PlayerId,
            Duration,
            Reason,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "playerId" | "player_id" => Ok(GeneratedField::PlayerId),
                            "duration" => Ok(GeneratedField::Duration),
                            "reason" => Ok(GeneratedField::Reason),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = MutePlayer;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.MutePlayer")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<MutePlayer, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut player_id__ = None;
                let mut duration__ = None;
                let mut reason__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::PlayerId => {
                            if player_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("playerId"));
                            }
                            player_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Duration => {
                            if duration__.is_some() {
                                return Err(serde::de::Error::duplicate_field("duration"));
                            }
                            duration__ = map_.next_value()?;
                        }
                        GeneratedField::Reason => {
                            if reason__.is_some() {
                                return Err(serde::de::Error::duplicate_field("reason"));
                            }
                            reason__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(MutePlayer {
                    player_id: player_id__.unwrap_or_default(),
                    duration: duration__,
                    reason: reason__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.MutePlayer", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Presence {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.player_id.is_empty() {
            len += 1;
        }
        if self.status != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Presence", len)?;
        if !self.player_id.is_empty() {
            struct_ser.serialize_field("player_id", &self.player_id)?;
        }
        if self.status != 0 {
            let v = presence::Status::try_from(self.status)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.status)))?;
            struct_ser.serialize_field("status", &v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Presence {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "player_id",
            "playerId",
            "status",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            PlayerId,
            Status,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "playerId" | "player_id" => Ok(GeneratedField::PlayerId),
                            "status" => Ok(GeneratedField::Status),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Presence;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Presence")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Presence, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut player_id__ = None;
                let mut status__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::PlayerId => {
                            if player_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("playerId"));
                            }
                            player_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Status => {
                            if status__.is_some() {
                                return Err(serde::de::Error::duplicate_field("status"));
                            }
                            status__ = Some(map_.next_value::<presence::Status>()? as i32);
                        }
                    }
                }
                Ok(Presence {
                    player_id: player_id__.unwrap_or_default(),
                    status: status__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Presence", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for presence::Status {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Offline => "OFFLINE",
            Self::Online => "ONLINE",
            Self::Away => "AWAY",
            Self::InQueue => "IN_QUEUE",
            Self::InMatch => "IN_MATCH",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for presence::Status {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "OFFLINE",
            "ONLINE",
            "AWAY",
            "IN_QUEUE",
            "IN_MATCH",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = presence::Status;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "OFFLINE" => Ok(presence::Status::Offline),
                    "ONLINE" => Ok(presence::Status::Online),
                    "AWAY" => Ok(presence::Status::Away),
                    "IN_QUEUE" => Ok(presence::Status::InQueue),
                    "IN_MATCH" => Ok(presence::Status::InMatch),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for Presences {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.presences.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Presences", len)?;
        if !self.presences.is_empty() {
            struct_ser.serialize_field("presences", &self.presences)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Presences {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "presences",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Presences,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "presences" => Ok(GeneratedField::Presences),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Presences;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Presences")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Presences, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut presences__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Presences => {
                            if presences__.is_some() {
                                return Err(serde::de::Error::duplicate_field("presences"));
                            }
                            presences__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Presences {
                    presences: presences__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Presences", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for PromoteMember {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.room_id.is_empty() {
            len += 1;
        }
        if !self.player_id.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.PromoteMember", len)?;
        if !self.room_id.is_empty() {
            struct_ser.serialize_field("room_id", &self.room_id)?;
        }
        if !self.player_id.is_empty() {
            struct_ser.serialize_field("player_id", &self.player_id)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for PromoteMember {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "room_id",
            "roomId",
            "player_id",
            "playerId",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            RoomId,
            PlayerId,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "roomId" | "room_id" => Ok(GeneratedField::RoomId),
                            "playerId" | "player_id" => Ok(GeneratedField::PlayerId),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = PromoteMember;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.PromoteMember")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<PromoteMember, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut room_id__ = None;
                let mut player_id__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::RoomId => {
                            if room_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("roomId"));
                            }
                            room_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::PlayerId => {
                            if player_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("playerId"));
                            }
                            player_id__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(PromoteMember {
                    room_id: room_id__.unwrap_or_default(),
                    player_id: player_id__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.PromoteMember", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Proposed {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.match_id.is_empty() {
            len += 1;
        }
        if !self.queue.is_empty() {
            len += 1;
        }
        if self.accept_until.is_some() {
            len += 1;
        }
        if self.players != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Proposed", len)?;
        if !self.match_id.is_empty() {
            struct_ser.serialize_field("match_id", &self.match_id)?;
        }
        if !self.queue.is_empty() {
            struct_ser.serialize_field("queue", &self.queue)?;
        }
        if let Some(v) = self.accept_until.as_ref() {
            struct_ser.serialize_field("accept_until", v)?;
        }
        if self.players != 0 {
            struct_ser.serialize_field("players", &self.players)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Proposed {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "match_id",
            "matchId",
            "queue",
            "accept_until",
            "acceptUntil",
            "players",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            MatchId,
            Queue,
            AcceptUntil,
            Players,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "matchId" | "match_id" => Ok(GeneratedField::MatchId),
                            "queue" => Ok(GeneratedField::Queue),
                            "acceptUntil" | "accept_until" => Ok(GeneratedField::AcceptUntil),
                            "players" => Ok(GeneratedField::Players),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Proposed;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Proposed")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Proposed, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut match_id__ = None;
                let mut queue__ = None;
                let mut accept_until__ = None;
                let mut players__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::MatchId => {
                            if match_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("matchId"));
                            }
                            match_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Queue => {
                            if queue__.is_some() {
                                return Err(serde::de::Error::duplicate_field("queue"));
                            }
                            queue__ = Some(map_.next_value()?);
                        }
                        GeneratedField::AcceptUntil => {
                            if accept_until__.is_some() {
                                return Err(serde::de::Error::duplicate_field("acceptUntil"));
                            }
                            accept_until__ = map_.next_value()?;
                        }
                        GeneratedField::Players => {
                            if players__.is_some() {
                                return Err(serde::de::Error::duplicate_field("players"));
                            }
                            players__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Proposed {
                    match_id: match_id__.unwrap_or_default(),
                    queue: queue__.unwrap_or_default(),
                    accept_until: accept_until__,
                    players: players__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Proposed", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for QueueState {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.ticket_id.is_empty() {
            len += 1;
        }
        if !self.queue.is_empty() {
            len += 1;
        }
        if self.status != 0 {
            len += 1;
        }
        if self.entered_at.is_some() {
            len += 1;
        }
        if self.estimate.is_some() {
            len += 1;
        }
        if !self.reason.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.QueueState", len)?;
        if !self.ticket_id.is_empty() {
            struct_ser.serialize_field("ticket_id", &self.ticket_id)?;
        }
        if !self.queue.is_empty() {
            struct_ser.serialize_field("queue", &self.queue)?;
        }
        if self.status != 0 {
            let v = queue_state::Status::try_from(self.status)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.status)))?;
            struct_ser.serialize_field("status", &v)?;
        }
        if let Some(v) = self.entered_at.as_ref() {
            struct_ser.serialize_field("entered_at", v)?;
        }
        if let Some(v) = self.estimate.as_ref() {
            struct_ser.serialize_field("estimate", v)?;
        }
        if !self.reason.is_empty() {
            struct_ser.serialize_field("reason", &self.reason)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for QueueState {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "ticket_id",
            "ticketId",
            "queue",
            "status",
            "entered_at",
            "enteredAt",
            "estimate",
            "reason",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            TicketId,
            Queue,
            Status,
            EnteredAt,
            Estimate,
            Reason,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "ticketId" | "ticket_id" => Ok(GeneratedField::TicketId),
                            "queue" => Ok(GeneratedField::Queue),
                            "status" => Ok(GeneratedField::Status),
                            "enteredAt" | "entered_at" => Ok(GeneratedField::EnteredAt),
                            "estimate" => Ok(GeneratedField::Estimate),
                            "reason" => Ok(GeneratedField::Reason),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = QueueState;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.QueueState")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<QueueState, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut ticket_id__ = None;
                let mut queue__ = None;
                let mut status__ = None;
                let mut entered_at__ = None;
                let mut estimate__ = None;
                let mut reason__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::TicketId => {
                            if ticket_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("ticketId"));
                            }
                            ticket_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Queue => {
                            if queue__.is_some() {
                                return Err(serde::de::Error::duplicate_field("queue"));
                            }
                            queue__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Status => {
                            if status__.is_some() {
                                return Err(serde::de::Error::duplicate_field("status"));
                            }
                            status__ = Some(map_.next_value::<queue_state::Status>()? as i32);
                        }
                        GeneratedField::EnteredAt => {
                            if entered_at__.is_some() {
                                return Err(serde::de::Error::duplicate_field("enteredAt"));
                            }
                            entered_at__ = map_.next_value()?;
                        }
                        GeneratedField::Estimate => {
                            if estimate__.is_some() {
                                return Err(serde::de::Error::duplicate_field("estimate"));
                            }
                            estimate__ = map_.next_value()?;
                        }
                        GeneratedField::Reason => {
                            if reason__.is_some() {
                                return Err(serde::de::Error::duplicate_field("reason"));
                            }
                            reason__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(QueueState {
                    ticket_id: ticket_id__.unwrap_or_default(),
                    queue: queue__.unwrap_or_default(),
                    status: status__.unwrap_or_default(),
                    entered_at: entered_at__,
                    estimate: estimate__,
                    reason: reason__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.QueueState", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for queue_state::Status {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::None => "NONE",
            Self::Waiting => "WAITING",
            Self::Proposed => "PROPOSED",
            Self::Matched => "MATCHED",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for queue_state::Status {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "NONE",
            "WAITING",
            "PROPOSED",
            "MATCHED",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = queue_state::Status;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "NONE" => Ok(queue_state::Status::None),
                    "WAITING" => Ok(queue_state::Status::Waiting),
                    "PROPOSED" => Ok(queue_state::Status::Proposed),
                    "MATCHED" => Ok(queue_state::Status::Matched),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for Rating {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.queue.is_empty() {
            len += 1;
        }
        if self.mean != 0. {
            len += 1;
        }
        if self.deviation != 0. {
            len += 1;
        }
        if self.matches != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Rating", len)?;
        if !self.queue.is_empty() {
            struct_ser.serialize_field("queue", &self.queue)?;
        }
        if self.mean != 0. {
            struct_ser.serialize_field("mean", &self.mean)?;
        }
        if self.deviation != 0. {
            struct_ser.serialize_field("deviation", &self.deviation)?;
        }
        if self.matches != 0 {
            struct_ser.serialize_field("matches", &self.matches)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Rating {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "queue",
            "mean",
            "deviation",
            "matches",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Queue,
            Mean,
            Deviation,
            Matches,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "queue" => Ok(GeneratedField::Queue),
                            "mean" => Ok(GeneratedField::Mean),
                            "deviation" => Ok(GeneratedField::Deviation),
                            "matches" => Ok(GeneratedField::Matches),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Rating;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Rating")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Rating, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut queue__ = None;
                let mut mean__ = None;
                let mut deviation__ = None;
                let mut matches__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Queue => {
                            if queue__.is_some() {
                                return Err(serde::de::Error::duplicate_field("queue"));
                            }
                            queue__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Mean => {
                            if mean__.is_some() {
                                return Err(serde::de::Error::duplicate_field("mean"));
                            }
                            mean__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Deviation => {
                            if deviation__.is_some() {
                                return Err(serde::de::Error::duplicate_field("deviation"));
                            }
                            deviation__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Matches => {
                            if matches__.is_some() {
                                return Err(serde::de::Error::duplicate_field("matches"));
                            }
                            matches__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Rating {
                    queue: queue__.unwrap_or_default(),
                    mean: mean__.unwrap_or_default(),
                    deviation: deviation__.unwrap_or_default(),
                    matches: matches__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Rating", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Ratings {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.ratings.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Ratings", len)?;
        if !self.ratings.is_empty() {
            struct_ser.serialize_field("ratings", &self.ratings)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Ratings {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "ratings",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Ratings,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "ratings" => Ok(GeneratedField::Ratings),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Ratings;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Ratings")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Ratings, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut ratings__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Ratings => {
                            if ratings__.is_some() {
                                return Err(serde::de::Error::duplicate_field("ratings"));
                            }
                            ratings__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Ratings {
                    ratings: ratings__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Ratings", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Region {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.name.is_empty() {
            len += 1;
        }
        if !self.udp_echo.is_empty() {
            len += 1;
        }
        if !self.https_echo.is_empty() {
            len += 1;
        }
        if !self.lobby.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Region", len)?;
        if !self.name.is_empty() {
            struct_ser.serialize_field("name", &self.name)?;
        }
        if !self.udp_echo.is_empty() {
            struct_ser.serialize_field("udp_echo", &self.udp_echo)?;
        }
        if !self.https_echo.is_empty() {
            struct_ser.serialize_field("https_echo", &self.https_echo)?;
        }
        if !self.lobby.is_empty() {
            struct_ser.serialize_field("lobby", &self.lobby)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Region {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "name",
            "udp_echo",
            "udpEcho",
            "https_echo",
            "httpsEcho",
            "lobby",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Name,
            UdpEcho,
            HttpsEcho,
            Lobby,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "name" => Ok(GeneratedField::Name),
                            "udpEcho" | "udp_echo" => Ok(GeneratedField::UdpEcho),
                            "httpsEcho" | "https_echo" => Ok(GeneratedField::HttpsEcho),
                            "lobby" => Ok(GeneratedField::Lobby),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Region;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Region")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Region, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut name__ = None;
                let mut udp_echo__ = None;
                let mut https_echo__ = None;
                let mut lobby__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Name => {
                            if name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("name"));
                            }
                            name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::UdpEcho => {
                            if udp_echo__.is_some() {
                                return Err(serde::de::Error::duplicate_field("udpEcho"));
                            }
                            udp_echo__ = Some(map_.next_value()?);
                        }
                        GeneratedField::HttpsEcho => {
                            if https_echo__.is_some() {
                                return Err(serde::de::Error::duplicate_field("httpsEcho"));
                            }
                            https_echo__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Lobby => {
                            if lobby__.is_some() {
                                return Err(serde::de::Error::duplicate_field("lobby"));
                            }
                            lobby__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Region {
                    name: name__.unwrap_or_default(),
                    udp_echo: udp_echo__.unwrap_or_default(),
                    https_echo: https_echo__.unwrap_or_default(),
                    lobby: lobby__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Region", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Regions {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.regions.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Regions", len)?;
        if !self.regions.is_empty() {
            struct_ser.serialize_field("regions", &self.regions)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Regions {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "regions",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Regions,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "regions" => Ok(GeneratedField::Regions),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Regions;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Regions")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Regions, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut regions__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Regions => {
                            if regions__.is_some() {
                                return Err(serde::de::Error::duplicate_field("regions"));
                            }
                            regions__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Regions {
                    regions: regions__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Regions", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for RejoinMatch {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.reconnection_token.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.RejoinMatch", len)?;
        if !self.reconnection_token.is_empty() {
            struct_ser.serialize_field("reconnection_token", &self.reconnection_token)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for RejoinMatch {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "reconnection_token",
            "reconnectionToken",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            ReconnectionToken,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "reconnectionToken" | "reconnection_token" => Ok(GeneratedField::ReconnectionToken),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = RejoinMatch;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.RejoinMatch")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<RejoinMatch, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut reconnection_token__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::ReconnectionToken => {
                            if reconnection_token__.is_some() {
                                return Err(serde::de::Error::duplicate_field("reconnectionToken"));
                            }
                            reconnection_token__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(RejoinMatch {
                    reconnection_token: reconnection_token__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.RejoinMatch", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ReportChat {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.channel.is_empty() {
            len += 1;
        }
        if self.number != 0 {
            len += 1;
        }
        if !self.reason.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.ReportChat", len)?;
        if !self.channel.is_empty() {
            struct_ser.serialize_field("channel", &self.channel)?;
        }
        if self.number != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("number", ToString::to_string(&self.number).as_str())?;
        }
        if !self.reason.is_empty() {
            struct_ser.serialize_field("reason", &self.reason)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ReportChat {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "channel",
            "number",
            "reason",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Channel,
            Number,
            Reason,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "channel" => Ok(GeneratedField::Channel),
                            "number" => Ok(GeneratedField::Number),
                            "reason" => Ok(GeneratedField::Reason),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ReportChat;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.ReportChat")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ReportChat, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut channel__ = None;
                let mut number__ = None;
                let mut reason__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Channel => {
                            if channel__.is_some() {
                                return Err(serde::de::Error::duplicate_field("channel"));
                            }
                            channel__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Number => {
                            if number__.is_some() {
                                return Err(serde::de::Error::duplicate_field("number"));
                            }
                            number__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Reason => {
                            if reason__.is_some() {
                                return Err(serde::de::Error::duplicate_field("reason"));
                            }
                            reason__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(ReportChat {
                    channel: channel__.unwrap_or_default(),
                    number: number__.unwrap_or_default(),
                    reason: reason__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.ReportChat", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Resume {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.resume_token.is_empty() {
            len += 1;
        }
        if self.seen != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Resume", len)?;
        if !self.resume_token.is_empty() {
            struct_ser.serialize_field("resume_token", &self.resume_token)?;
        }
        if self.seen != 0 {
            struct_ser.serialize_field("seen", &self.seen)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Resume {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "resume_token",
            "resumeToken",
            "seen",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            ResumeToken,
            Seen,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "resumeToken" | "resume_token" => Ok(GeneratedField::ResumeToken),
                            "seen" => Ok(GeneratedField::Seen),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Resume;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Resume")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Resume, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut resume_token__ = None;
                let mut seen__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::ResumeToken => {
                            if resume_token__.is_some() {
                                return Err(serde::de::Error::duplicate_field("resumeToken"));
                            }
                            resume_token__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Seen => {
                            if seen__.is_some() {
                                return Err(serde::de::Error::duplicate_field("seen"));
                            }
                            seen__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Resume {
                    resume_token: resume_token__.unwrap_or_default(),
                    seen: seen__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Resume", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Room {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.id.is_empty() {
            len += 1;
        }
        if self.kind != 0 {
            len += 1;
        }
        if !self.code.is_empty() {
            len += 1;
        }
        if !self.host.is_empty() {
            len += 1;
        }
        if !self.members.is_empty() {
            len += 1;
        }
        if self.settings.is_some() {
            len += 1;
        }
        if self.version != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Room", len)?;
        if !self.id.is_empty() {
            struct_ser.serialize_field("id", &self.id)?;
        }
        if self.kind != 0 {
            let v = RoomKind::try_from(self.kind)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.kind)))?;
            struct_ser.serialize_field("kind", &v)?;
        }
        if !self.code.is_empty() {
            struct_ser.serialize_field("code", &self.code)?;
        }
        if !self.host.is_empty() {
            struct_ser.serialize_field("host", &self.host)?;
        }
        if !self.members.is_empty() {
            struct_ser.serialize_field("members", &self.members)?;
        }
        if let Some(v) = self.settings.as_ref() {
            struct_ser.serialize_field("settings", v)?;
        }
        if self.version != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("version", ToString::to_string(&self.version).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Room {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "id",
            "kind",
            "code",
            "host",
            "members",
            "settings",
            "version",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Id,
            Kind,
            Code,
            Host,
            Members,
            Settings,
            Version,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "id" => Ok(GeneratedField::Id),
                            "kind" => Ok(GeneratedField::Kind),
                            "code" => Ok(GeneratedField::Code),
                            "host" => Ok(GeneratedField::Host),
                            "members" => Ok(GeneratedField::Members),
                            "settings" => Ok(GeneratedField::Settings),
                            "version" => Ok(GeneratedField::Version),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Room;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Room")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Room, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut id__ = None;
                let mut kind__ = None;
                let mut code__ = None;
                let mut host__ = None;
                let mut members__ = None;
                let mut settings__ = None;
                let mut version__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Id => {
                            if id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("id"));
                            }
                            id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Kind => {
                            if kind__.is_some() {
                                return Err(serde::de::Error::duplicate_field("kind"));
                            }
                            kind__ = Some(map_.next_value::<RoomKind>()? as i32);
                        }
                        GeneratedField::Code => {
                            if code__.is_some() {
                                return Err(serde::de::Error::duplicate_field("code"));
                            }
                            code__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Host => {
                            if host__.is_some() {
                                return Err(serde::de::Error::duplicate_field("host"));
                            }
                            host__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Members => {
                            if members__.is_some() {
                                return Err(serde::de::Error::duplicate_field("members"));
                            }
                            members__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Settings => {
                            if settings__.is_some() {
                                return Err(serde::de::Error::duplicate_field("settings"));
                            }
                            settings__ = map_.next_value()?;
                        }
                        GeneratedField::Version => {
                            if version__.is_some() {
                                return Err(serde::de::Error::duplicate_field("version"));
                            }
                            version__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Room {
                    id: id__.unwrap_or_default(),
                    kind: kind__.unwrap_or_default(),
                    code: code__.unwrap_or_default(),
                    host: host__.unwrap_or_default(),
                    members: members__.unwrap_or_default(),
                    settings: settings__,
                    version: version__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Room", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for RoomChanged {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.room_id.is_empty() {
            len += 1;
        }
        if self.room.is_some() {
            len += 1;
        }
        if self.reason != 0 {
            len += 1;
        }
        if !self.player_id.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.RoomChanged", len)?;
        if !self.room_id.is_empty() {
            struct_ser.serialize_field("room_id", &self.room_id)?;
        }
        if let Some(v) = self.room.as_ref() {
            struct_ser.serialize_field("room", v)?;
        }
        if self.reason != 0 {
            let v = room_changed::Reason::try_from(self.reason)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.reason)))?;
            struct_ser.serialize_field("reason", &v)?;
        }
        if !self.player_id.is_empty() {
            struct_ser.serialize_field("player_id", &self.player_id)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for RoomChanged {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "room_id",
            "roomId",
            "room",
            "reason",
            "player_id",
            "playerId",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            RoomId,
            Room,
            Reason,
            PlayerId,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "roomId" | "room_id" => Ok(GeneratedField::RoomId),
                            "room" => Ok(GeneratedField::Room),
                            "reason" => Ok(GeneratedField::Reason),
                            "playerId" | "player_id" => Ok(GeneratedField::PlayerId),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = RoomChanged;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.RoomChanged")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<RoomChanged, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut room_id__ = None;
                let mut room__ = None;
                let mut reason__ = None;
                let mut player_id__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::RoomId => {
                            if room_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("roomId"));
                            }
                            room_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Room => {
                            if room__.is_some() {
                                return Err(serde::de::Error::duplicate_field("room"));
                            }
                            room__ = map_.next_value()?;
                        }
                        GeneratedField::Reason => {
                            if reason__.is_some() {
                                return Err(serde::de::Error::duplicate_field("reason"));
                            }
                            reason__ = Some(map_.next_value::<room_changed::Reason>()? as i32);
                        }
                        GeneratedField::PlayerId => {
                            if player_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("playerId"));
                            }
                            player_id__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(RoomChanged {
                    room_id: room_id__.unwrap_or_default(),
                    room: room__,
                    reason: reason__.unwrap_or_default(),
                    player_id: player_id__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.RoomChanged", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for room_changed::Reason {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "UNSPECIFIED",
            Self::Joined => "JOINED",
            Self::Left => "LEFT",
            Self::Kicked => "KICKED",
            Self::Promoted => "PROMOTED",
            Self::Ready => "READY",
            Self::Settings => "SETTINGS",
            Self::Connection => "CONNECTION",
            Self::Closed => "CLOSED",
            Self::MatchStarted => "MATCH_STARTED",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for room_changed::Reason {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "UNSPECIFIED",
            "JOINED",
            "LEFT",
            "KICKED",
            "PROMOTED",
            "READY",
            "SETTINGS",
            "CONNECTION",
            "CLOSED",
            "MATCH_STARTED",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = room_changed::Reason;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "UNSPECIFIED" => Ok(room_changed::Reason::Unspecified),
                    "JOINED" => Ok(room_changed::Reason::Joined),
                    "LEFT" => Ok(room_changed::Reason::Left),
                    "KICKED" => Ok(room_changed::Reason::Kicked),
                    "PROMOTED" => Ok(room_changed::Reason::Promoted),
                    "READY" => Ok(room_changed::Reason::Ready),
                    "SETTINGS" => Ok(room_changed::Reason::Settings),
                    "CONNECTION" => Ok(room_changed::Reason::Connection),
                    "CLOSED" => Ok(room_changed::Reason::Closed),
                    "MATCH_STARTED" => Ok(room_changed::Reason::MatchStarted),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for RoomKind {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Party => "PARTY",
            Self::Lobby => "LOBBY",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for RoomKind {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "PARTY",
            "LOBBY",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = RoomKind;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "PARTY" => Ok(RoomKind::Party),
                    "LOBBY" => Ok(RoomKind::Lobby),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for RoomSettings {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.name.is_empty() {
            len += 1;
        }
        if self.is_public {
            len += 1;
        }
        if self.capacity != 0 {
            len += 1;
        }
        if self.is_locked {
            len += 1;
        }
        if !self.properties.is_empty() {
            len += 1;
        }
        if !self.queue.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.RoomSettings", len)?;
        if !self.name.is_empty() {
            struct_ser.serialize_field("name", &self.name)?;
        }
        if self.is_public {
            struct_ser.serialize_field("is_public", &self.is_public)?;
        }
        if self.capacity != 0 {
            struct_ser.serialize_field("capacity", &self.capacity)?;
        }
        if self.is_locked {
            struct_ser.serialize_field("is_locked", &self.is_locked)?;
        }
        if !self.properties.is_empty() {
            struct_ser.serialize_field("properties", &self.properties)?;
        }
        if !self.queue.is_empty() {
            struct_ser.serialize_field("queue", &self.queue)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for RoomSettings {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "name",
            "is_public",
            "isPublic",
            "capacity",
            "is_locked",
            "isLocked",
            "properties",
            "queue",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Name,
            IsPublic,
            Capacity,
            IsLocked,
            Properties,
            Queue,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "name" => Ok(GeneratedField::Name),
                            "isPublic" | "is_public" => Ok(GeneratedField::IsPublic),
                            "capacity" => Ok(GeneratedField::Capacity),
                            "isLocked" | "is_locked" => Ok(GeneratedField::IsLocked),
                            "properties" => Ok(GeneratedField::Properties),
                            "queue" => Ok(GeneratedField::Queue),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = RoomSettings;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.RoomSettings")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<RoomSettings, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut name__ = None;
                let mut is_public__ = None;
                let mut capacity__ = None;
                let mut is_locked__ = None;
                let mut properties__ = None;
                let mut queue__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Name => {
                            if name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("name"));
                            }
                            name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::IsPublic => {
                            if is_public__.is_some() {
                                return Err(serde::de::Error::duplicate_field("isPublic"));
                            }
                            is_public__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Capacity => {
                            if capacity__.is_some() {
                                return Err(serde::de::Error::duplicate_field("capacity"));
                            }
                            capacity__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::IsLocked => {
                            if is_locked__.is_some() {
                                return Err(serde::de::Error::duplicate_field("isLocked"));
                            }
                            is_locked__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Properties => {
                            if properties__.is_some() {
                                return Err(serde::de::Error::duplicate_field("properties"));
                            }
                            properties__ = Some(
                                map_.next_value::<std::collections::BTreeMap<_, _>>()?
                            );
                        }
                        GeneratedField::Queue => {
                            if queue__.is_some() {
                                return Err(serde::de::Error::duplicate_field("queue"));
                            }
                            queue__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(RoomSettings {
                    name: name__.unwrap_or_default(),
                    is_public: is_public__.unwrap_or_default(),
                    capacity: capacity__.unwrap_or_default(),
                    is_locked: is_locked__.unwrap_or_default(),
                    properties: properties__.unwrap_or_default(),
                    queue: queue__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.RoomSettings", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Rooms {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.rooms.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Rooms", len)?;
        if !self.rooms.is_empty() {
            struct_ser.serialize_field("rooms", &self.rooms)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Rooms {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "rooms",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Rooms,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "rooms" => Ok(GeneratedField::Rooms),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Rooms;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Rooms")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Rooms, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut rooms__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Rooms => {
                            if rooms__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rooms"));
                            }
                            rooms__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Rooms {
                    rooms: rooms__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Rooms", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SearchRooms {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.name.is_empty() {
            len += 1;
        }
        if !self.queue.is_empty() {
            len += 1;
        }
        if !self.properties.is_empty() {
            len += 1;
        }
        if self.limit != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.SearchRooms", len)?;
        if !self.name.is_empty() {
            struct_ser.serialize_field("name", &self.name)?;
        }
        if !self.queue.is_empty() {
            struct_ser.serialize_field("queue", &self.queue)?;
        }
        if !self.properties.is_empty() {
            struct_ser.serialize_field("properties", &self.properties)?;
        }
        if self.limit != 0 {
            struct_ser.serialize_field("limit", &self.limit)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SearchRooms {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "name",
            "queue",
            "properties",
            "limit",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Name,
            Queue,
            Properties,
            Limit,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "name" => Ok(GeneratedField::Name),
                            "queue" => Ok(GeneratedField::Queue),
                            "properties" => Ok(GeneratedField::Properties),
                            "limit" => Ok(GeneratedField::Limit),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SearchRooms;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.SearchRooms")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SearchRooms, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut name__ = None;
                let mut queue__ = None;
                let mut properties__ = None;
                let mut limit__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Name => {
                            if name__.is_some() {
                                return Err(serde::de::Error::duplicate_field("name"));
                            }
                            name__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Queue => {
                            if queue__.is_some() {
                                return Err(serde::de::Error::duplicate_field("queue"));
                            }
                            queue__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Properties => {
                            if properties__.is_some() {
                                return Err(serde::de::Error::duplicate_field("properties"));
                            }
                            properties__ = Some(
                                map_.next_value::<std::collections::BTreeMap<_, _>>()?
                            );
                        }
                        GeneratedField::Limit => {
                            if limit__.is_some() {
                                return Err(serde::de::Error::duplicate_field("limit"));
                            }
                            limit__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(SearchRooms {
                    name: name__.unwrap_or_default(),
                    queue: queue__.unwrap_or_default(),
                    properties: properties__.unwrap_or_default(),
                    limit: limit__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.SearchRooms", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Seat {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.player_id.is_empty() {
            len += 1;
        }
        if self.team != 0 {
            len += 1;
        }
        if self.rank != 0 {
            len += 1;
        }
        if self.rating != 0. {
            len += 1;
        }
        if self.rating_change != 0. {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Seat", len)?;
        if !self.player_id.is_empty() {
            struct_ser.serialize_field("player_id", &self.player_id)?;
        }
        if self.team != 0 {
            struct_ser.serialize_field("team", &self.team)?;
        }
        if self.rank != 0 {
            struct_ser.serialize_field("rank", &self.rank)?;
        }
        if self.rating != 0. {
            struct_ser.serialize_field("rating", &self.rating)?;
        }
        if self.rating_change != 0. {
            struct_ser.serialize_field("rating_change", &self.rating_change)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Seat {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "player_id",
            "playerId",
            "team",
            "rank",
            "rating",
            "rating_change",
            "ratingChange",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            PlayerId,
            Team,
            Rank,
            Rating,
            RatingChange,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "playerId" | "player_id" => Ok(GeneratedField::PlayerId),
                            "team" => Ok(GeneratedField::Team),
                            "rank" => Ok(GeneratedField::Rank),
                            "rating" => Ok(GeneratedField::Rating),
                            "ratingChange" | "rating_change" => Ok(GeneratedField::RatingChange),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Seat;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Seat")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Seat, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut player_id__ = None;
                let mut team__ = None;
                let mut rank__ = None;
                let mut rating__ = None;
                let mut rating_change__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::PlayerId => {
                            if player_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("playerId"));
                            }
                            player_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Team => {
                            if team__.is_some() {
                                return Err(serde::de::Error::duplicate_field("team"));
                            }
                            team__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Rank => {
                            if rank__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rank"));
                            }
                            rank__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Rating => {
                            if rating__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rating"));
                            }
                            rating__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::RatingChange => {
                            if rating_change__.is_some() {
                                return Err(serde::de::Error::duplicate_field("ratingChange"));
                            }
                            rating_change__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(Seat {
                    player_id: player_id__.unwrap_or_default(),
                    team: team__.unwrap_or_default(),
                    rank: rank__.unwrap_or_default(),
                    rating: rating__.unwrap_or_default(),
                    rating_change: rating_change__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Seat", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SendChat {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.channel.is_empty() {
            len += 1;
        }
        if !self.text.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.SendChat", len)?;
        if !self.channel.is_empty() {
            struct_ser.serialize_field("channel", &self.channel)?;
        }
        if !self.text.is_empty() {
            struct_ser.serialize_field("text", &self.text)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SendChat {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "channel",
            "text",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Channel,
            Text,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "channel" => Ok(GeneratedField::Channel),
                            "text" => Ok(GeneratedField::Text),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SendChat;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.SendChat")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SendChat, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut channel__ = None;
                let mut text__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Channel => {
                            if channel__.is_some() {
                                return Err(serde::de::Error::duplicate_field("channel"));
                            }
                            channel__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Text => {
                            if text__.is_some() {
                                return Err(serde::de::Error::duplicate_field("text"));
                            }
                            text__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(SendChat {
                    channel: channel__.unwrap_or_default(),
                    text: text__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.SendChat", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SetPresence {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.status != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.SetPresence", len)?;
        if self.status != 0 {
            let v = presence::Status::try_from(self.status)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.status)))?;
            struct_ser.serialize_field("status", &v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SetPresence {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "status",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Status,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "status" => Ok(GeneratedField::Status),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SetPresence;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.SetPresence")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SetPresence, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut status__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Status => {
                            if status__.is_some() {
                                return Err(serde::de::Error::duplicate_field("status"));
                            }
                            status__ = Some(map_.next_value::<presence::Status>()? as i32);
                        }
                    }
                }
                Ok(SetPresence {
                    status: status__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.SetPresence", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SetProfile {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.latencies.is_empty() {
            len += 1;
        }
        if !self.attributes.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.SetProfile", len)?;
        if !self.latencies.is_empty() {
            struct_ser.serialize_field("latencies", &self.latencies)?;
        }
        if !self.attributes.is_empty() {
            struct_ser.serialize_field("attributes", &self.attributes)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SetProfile {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "latencies",
            "attributes",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Latencies,
            Attributes,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "latencies" => Ok(GeneratedField::Latencies),
                            "attributes" => Ok(GeneratedField::Attributes),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SetProfile;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.SetProfile")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SetProfile, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut latencies__ = None;
                let mut attributes__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Latencies => {
                            if latencies__.is_some() {
                                return Err(serde::de::Error::duplicate_field("latencies"));
                            }
                            latencies__ = Some(
                                map_.next_value::<std::collections::BTreeMap<_, ::pbjson::private::NumberDeserialize<u32>>>()?
                                    .into_iter().map(|(k,v)| (k, v.0)).collect()
                            );
                        }
                        GeneratedField::Attributes => {
                            if attributes__.is_some() {
                                return Err(serde::de::Error::duplicate_field("attributes"));
                            }
                            attributes__ = Some(
                                map_.next_value::<std::collections::BTreeMap<_, _>>()?
                            );
                        }
                    }
                }
                Ok(SetProfile {
                    latencies: latencies__.unwrap_or_default(),
                    attributes: attributes__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.SetProfile", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SetReady {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.room_id.is_empty() {
            len += 1;
        }
        if self.is_ready {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.SetReady", len)?;
        if !self.room_id.is_empty() {
            struct_ser.serialize_field("room_id", &self.room_id)?;
        }
        if self.is_ready {
            struct_ser.serialize_field("is_ready", &self.is_ready)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SetReady {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "room_id",
            "roomId",
            "is_ready",
            "isReady",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            RoomId,
            IsReady,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "roomId" | "room_id" => Ok(GeneratedField::RoomId),
                            "isReady" | "is_ready" => Ok(GeneratedField::IsReady),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SetReady;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.SetReady")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SetReady, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut room_id__ = None;
                let mut is_ready__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::RoomId => {
                            if room_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("roomId"));
                            }
                            room_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::IsReady => {
                            if is_ready__.is_some() {
                                return Err(serde::de::Error::duplicate_field("isReady"));
                            }
                            is_ready__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(SetReady {
                    room_id: room_id__.unwrap_or_default(),
                    is_ready: is_ready__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.SetReady", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SetTeam {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.room_id.is_empty() {
            len += 1;
        }
        if self.team != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.SetTeam", len)?;
        if !self.room_id.is_empty() {
            struct_ser.serialize_field("room_id", &self.room_id)?;
        }
        if self.team != 0 {
            struct_ser.serialize_field("team", &self.team)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SetTeam {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "room_id",
            "roomId",
            "team",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            RoomId,
            Team,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "roomId" | "room_id" => Ok(GeneratedField::RoomId),
                            "team" => Ok(GeneratedField::Team),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SetTeam;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.SetTeam")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SetTeam, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut room_id__ = None;
                let mut team__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::RoomId => {
                            if room_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("roomId"));
                            }
                            room_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Team => {
                            if team__.is_some() {
                                return Err(serde::de::Error::duplicate_field("team"));
                            }
                            team__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                    }
                }
                Ok(SetTeam {
                    room_id: room_id__.unwrap_or_default(),
                    team: team__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.SetTeam", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for StartMatch {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.room_id.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.StartMatch", len)?;
        if !self.room_id.is_empty() {
            struct_ser.serialize_field("room_id", &self.room_id)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for StartMatch {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "room_id",
            "roomId",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            RoomId,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "roomId" | "room_id" => Ok(GeneratedField::RoomId),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = StartMatch;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.StartMatch")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<StartMatch, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut room_id__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::RoomId => {
                            if room_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("roomId"));
                            }
                            room_id__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(StartMatch {
                    room_id: room_id__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.StartMatch", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for State {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.party.is_some() {
            len += 1;
        }
        if self.lobby.is_some() {
            len += 1;
        }
        if self.queue.is_some() {
            len += 1;
        }
        if self.r#match.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.State", len)?;
        if let Some(v) = self.party.as_ref() {
            struct_ser.serialize_field("party", v)?;
        }
        if let Some(v) = self.lobby.as_ref() {
            struct_ser.serialize_field("lobby", v)?;
        }
        if let Some(v) = self.queue.as_ref() {
            struct_ser.serialize_field("queue", v)?;
        }
        if let Some(v) = self.r#match.as_ref() {
            struct_ser.serialize_field("match", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for State {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "party",
            "lobby",
            "queue",
            "match",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Party,
            Lobby,
            Queue,
            Match,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "party" => Ok(GeneratedField::Party),
                            "lobby" => Ok(GeneratedField::Lobby),
                            "queue" => Ok(GeneratedField::Queue),
                            "match" => Ok(GeneratedField::Match),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = State;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.State")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<State, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut party__ = None;
                let mut lobby__ = None;
                let mut queue__ = None;
                let mut r#match__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Party => {
                            if party__.is_some() {
                                return Err(serde::de::Error::duplicate_field("party"));
                            }
                            party__ = map_.next_value()?;
                        }
                        GeneratedField::Lobby => {
                            if lobby__.is_some() {
                                return Err(serde::de::Error::duplicate_field("lobby"));
                            }
                            lobby__ = map_.next_value()?;
                        }
                        GeneratedField::Queue => {
                            if queue__.is_some() {
                                return Err(serde::de::Error::duplicate_field("queue"));
                            }
                            queue__ = map_.next_value()?;
                        }
                        GeneratedField::Match => {
                            if r#match__.is_some() {
                                return Err(serde::de::Error::duplicate_field("match"));
                            }
                            r#match__ = map_.next_value()?;
                        }
                    }
                }
                Ok(State {
                    party: party__,
                    lobby: lobby__,
                    queue: queue__,
                    r#match: r#match__,
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.State", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Texts {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.texts.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Texts", len)?;
        if !self.texts.is_empty() {
            struct_ser.serialize_field("texts", &self.texts)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Texts {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "texts",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Texts,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "texts" => Ok(GeneratedField::Texts),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Texts;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Texts")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Texts, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut texts__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Texts => {
                            if texts__.is_some() {
                                return Err(serde::de::Error::duplicate_field("texts"));
                            }
                            texts__ = Some(map_.next_value()?);
                        }
                    }
                }
                Ok(Texts {
                    texts: texts__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Texts", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Welcome {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.player_id.is_empty() {
            len += 1;
        }
        if !self.resume_token.is_empty() {
            len += 1;
        }
        if self.is_resumed {
            len += 1;
        }
        if self.heartbeat.is_some() {
            len += 1;
        }
        if self.state.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("muster.lobby.v1.Welcome", len)?;
        if !self.player_id.is_empty() {
            struct_ser.serialize_field("player_id", &self.player_id)?;
        }
        if !self.resume_token.is_empty() {
            struct_ser.serialize_field("resume_token", &self.resume_token)?;
        }
        if self.is_resumed {
            struct_ser.serialize_field("is_resumed", &self.is_resumed)?;
        }
        if let Some(v) = self.heartbeat.as_ref() {
            struct_ser.serialize_field("heartbeat", v)?;
        }
        if let Some(v) = self.state.as_ref() {
            struct_ser.serialize_field("state", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Welcome {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "player_id",
            "playerId",
            "resume_token",
            "resumeToken",
            "is_resumed",
            "isResumed",
            "heartbeat",
            "state",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            PlayerId,
            ResumeToken,
            IsResumed,
            Heartbeat,
            State,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "playerId" | "player_id" => Ok(GeneratedField::PlayerId),
                            "resumeToken" | "resume_token" => Ok(GeneratedField::ResumeToken),
                            "isResumed" | "is_resumed" => Ok(GeneratedField::IsResumed),
                            "heartbeat" => Ok(GeneratedField::Heartbeat),
                            "state" => Ok(GeneratedField::State),
                            _ => Err(serde::de::Error::unknown_field(value, FIELDS)),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Welcome;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct muster.lobby.v1.Welcome")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Welcome, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut player_id__ = None;
                let mut resume_token__ = None;
                let mut is_resumed__ = None;
                let mut heartbeat__ = None;
                let mut state__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::PlayerId => {
                            if player_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("playerId"));
                            }
                            player_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ResumeToken => {
                            if resume_token__.is_some() {
                                return Err(serde::de::Error::duplicate_field("resumeToken"));
                            }
                            resume_token__ = Some(map_.next_value()?);
                        }
                        GeneratedField::IsResumed => {
                            if is_resumed__.is_some() {
                                return Err(serde::de::Error::duplicate_field("isResumed"));
                            }
                            is_resumed__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Heartbeat => {
                            if heartbeat__.is_some() {
                                return Err(serde::de::Error::duplicate_field("heartbeat"));
                            }
                            heartbeat__ = map_.next_value()?;
                        }
                        GeneratedField::State => {
                            if state__.is_some() {
                                return Err(serde::de::Error::duplicate_field("state"));
                            }
                            state__ = map_.next_value()?;
                        }
                    }
                }
                Ok(Welcome {
                    player_id: player_id__.unwrap_or_default(),
                    resume_token: resume_token__.unwrap_or_default(),
                    is_resumed: is_resumed__.unwrap_or_default(),
                    heartbeat: heartbeat__,
                    state: state__,
                })
            }
        }
        deserializer.deserialize_struct("muster.lobby.v1.Welcome", FIELDS, GeneratedVisitor)
    }
}
