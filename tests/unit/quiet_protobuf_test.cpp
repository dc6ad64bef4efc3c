#include "weft/quiet_protobuf.hpp"

#include <gtest/gtest.h>

#include "weft/v1/service.pb.h"

namespace weft {
namespace {

TEST(QuietProtobuf, WritesNothingOfStringsThatAreNotUtf8) {
    silence_protobuf();
    testing::internal::CaptureStderr();
    v1::Register wanted;
    EXPECT_FALSE(wanted.ParseFromString("\x12\x02\xff\xfe"));
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace weft
