#include "weft/frame_wire.hpp"

#include <google/protobuf/io/coded_stream.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "weft/wire_tag.hpp"

namespace weft {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;

std::string encoded(const v1::Frame& frame) {
    std::string out = "what was there before";
    encode(frame, out);
    return out;
}

/// One kind of body: how to reach it in a frame, and how it is parsed.
template <typename Body, Body* (v1::Frame::*kMutable)(), const Body& (v1::Frame::*kGet)() const>
struct Kind {
    using Message = Body;
    BodyParser<Body> parser{kMutable};
    static Body& body(v1::Frame& frame) { return *(frame.*kMutable)(); }
    static const Body& body(const v1::Frame& frame) { return (frame.*kGet)(); }
};
using PublishKind = Kind<v1::Publish, &v1::Frame::mutable_publish, &v1::Frame::publish>;
using PublishedKind = Kind<v1::Published, &v1::Frame::mutable_published, &v1::Frame::published>;
using PublicationKind = Kind<v1::Publication, &v1::Frame::mutable_publication, &v1::Frame::publication>;

template <typename K>
class FrameWire : public testing::Test {
protected:
    /// Protobuf and the parser under test find the same in `bytes`, or both nothing. The parser has its past: what it
    /// parsed before must leave no trace.
    void expect_as_protobuf_does(const std::string& bytes) {
        typename K::Message expected;
        const bool valid = expected.ParseFromString(bytes);
        const v1::Frame* const frame = kind_.parser.parse(bytes);
        ASSERT_EQ(frame != nullptr, valid) << testing::PrintToString(bytes);
        if (!valid) return;
        EXPECT_EQ(K::body(*frame).SerializeAsString(), expected.SerializeAsString()) << testing::PrintToString(bytes);
    }

    K kind_;
    std::mt19937_64 random_{20261122};
};
using Kinds = testing::Types<PublishKind, PublishedKind, PublicationKind>;
TYPED_TEST_SUITE(FrameWire, Kinds);

void put_tag(std::string& out, int field, WireFormatLite::WireType type) {
    std::uint8_t bytes[10];
    const auto* const end = CodedOutputStream::WriteTagToArray(wire_tag(field, type), bytes);
    out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(end - bytes));
}

/// `field` once with each wire type that a field may have: varint, fixed64, bytes, fixed32.
std::vector<std::string> with_field(int field) {
    std::vector<std::string> all(4);
    put_tag(all[0], field, WireFormatLite::WIRETYPE_VARINT);
    all[0] += "\x96\x01";
    put_tag(all[1], field, WireFormatLite::WIRETYPE_FIXED64);
    all[1] += "abcdefgh";
    put_tag(all[2], field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
    all[2] += "\x03\x0a\x01u";  // bytes, and a Publisher
    put_tag(all[3], field, WireFormatLite::WIRETYPE_FIXED32);
    all[3] += "abcd";
    return all;
}

constexpr int kFields = 64;  // numbers that are tried: more than there are

TYPED_TEST(FrameWire, WritesEachFieldThatTheMessageHas) {
    int known = 0;
    for (int field = 1; field <= kFields; ++field) {
        for (const std::string& once : with_field(field)) {
            v1::Frame frame;
            auto& body = TypeParam::body(frame);
            // Of a field that the message has the last value counts; others are kept as often as they came.
            ASSERT_TRUE(body.ParseFromString(once + once));
            if (body.ByteSizeLong() >= 2 * once.size()) continue;
            ++known;
            EXPECT_EQ(testing::PrintToString(encoded(frame)), testing::PrintToString(frame.SerializeAsString()))
                << "field " << field;
        }
    }
    EXPECT_GE(known, 3);
}

TYPED_TEST(FrameWire, ReadsEachFieldWhateverItsTypeIs) {
    for (int field = 1; field <= kFields; ++field) {
        for (const std::string& once : with_field(field)) {
            this->expect_as_protobuf_does(once);
            this->expect_as_protobuf_does(once + once);
            this->expect_as_protobuf_does("");
        }
    }
}

/// Each field there or not, short or long, in any order, sometimes cut short or with a byte changed.
TYPED_TEST(FrameWire, ReadsWhatProtobufReads) {
    std::mt19937_64& random = this->random_;
    const auto upto = [&random](std::size_t most) {
        return std::uniform_int_distribution<std::size_t>(0, most)(random);
    };
    for (int round = 0; round < 20'000; ++round) {
        std::string bytes;
        for (std::size_t i = 0, fields = upto(8); i < fields; ++i) {
            const auto field = static_cast<int>(1 + upto(upto(20) == 0 ? 20 : 11));
            switch (upto(3)) {
                case 0: bytes += with_field(field)[upto(3)]; break;
                case 1: {
                    put_tag(bytes, field, WireFormatLite::WIRETYPE_VARINT);
                    std::uint8_t varint[10];
                    const auto* const end = CodedOutputStream::WriteVarint64ToArray(random() >> upto(63), varint);
                    bytes.append(reinterpret_cast<const char*>(varint), static_cast<std::size_t>(end - varint));
                    break;
                }
                default: {
                    put_tag(bytes, field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
                    v1::Publisher publisher;
                    if (upto(3) != 0) publisher.set_user(std::string(upto(40), 'u'));
                    if (upto(3) != 0) publisher.set_client_id(random());
                    std::string value = upto(1) == 0 ? publisher.SerializeAsString() : std::string(upto(200), 'x');
                    if (upto(30) == 0) value.resize(20'000, 'y');
                    std::uint8_t size[10];
                    const auto* const end = CodedOutputStream::WriteVarint64ToArray(value.size(), size);
                    bytes.append(reinterpret_cast<const char*>(size), static_cast<std::size_t>(end - size)) += value;
                }
            }
        }
        if (upto(4) == 0 && !bytes.empty()) bytes.resize(upto(bytes.size() - 1));
        if (upto(4) == 0 && !bytes.empty()) bytes[upto(bytes.size() - 1)] = static_cast<char>(random());
        this->expect_as_protobuf_does(bytes);
        if (this->HasFatalFailure()) return;
    }
}

TEST(FrameWireOfOthers, LeavesEveryOtherFrameToProtobuf) {
    v1::Frame frame;
    EXPECT_EQ(encoded(frame), "");
    frame.mutable_subscribe()->set_channel("news");
    EXPECT_EQ(encoded(frame), frame.SerializeAsString());
}

TEST(FrameWireOfOthers, WritesAPublicationAsProtobufDoes) {
    v1::Frame frame;
    v1::Publication& publication = *frame.mutable_publication();
    publication.set_channel("news");
    publication.set_data(std::string(300, 'x'));
    publication.set_timestamp_ms(-1);
    publication.mutable_publisher();  // there, and empty
    EXPECT_EQ(encoded(frame), frame.SerializeAsString());
    publication.mutable_publisher()->set_user(std::string(200, 'u'));
    publication.set_number(1);
    EXPECT_EQ(encoded(frame), frame.SerializeAsString());
    publication.mutable_retention()->set_count(7);
    EXPECT_EQ(encoded(frame), frame.SerializeAsString());
}

}  // namespace
}  // namespace weft
