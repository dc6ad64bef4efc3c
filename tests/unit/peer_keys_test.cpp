// The files of CURVE keys: what is a key, what a list may say, and what is said of one that is wrong.
#include "peer_keys.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace weft {
namespace {

// RFC 32's own example is of 8 bytes; these are of the 32 bytes that ZeroMQ's manual shows (zmq_curve).
const std::string kOne = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
const std::string kTwo = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";

std::string error_of(const std::string& text) {
    const auto keys = PeerKeys::parse(text);
    return keys ? "" : keys.error();
}

TEST(PeerKeys, AreFortyCharactersThatStandForThirtyTwoBytes) {
    EXPECT_TRUE(is_curve_key(kOne));
    EXPECT_TRUE(is_curve_key(kTwo));
    EXPECT_TRUE(is_curve_key(std::string(40, '0')));
    EXPECT_FALSE(is_curve_key(""));
    EXPECT_FALSE(is_curve_key(kOne + "a"));
    EXPECT_FALSE(is_curve_key(kOne.substr(1)));
    EXPECT_FALSE(is_curve_key(std::string(40, '~'))) << "no character of Z85";
    EXPECT_FALSE(is_curve_key(std::string(39, '0') + " "));
    EXPECT_FALSE(is_curve_key(std::string(40, '#'))) << "more than four bytes hold";
    EXPECT_TRUE(is_curve_key("%nSc0" + std::string(35, '0'))) << "the largest that they hold";
    EXPECT_FALSE(is_curve_key("%nSc1" + std::string(35, '0')));
}

TEST(PeerKeys, StandOneALineWithTheNameOfTheNode) {
    const auto keys = PeerKeys::parse("# all nodes\n\n" + kOne + " a\r\n  " + kTwo + "\t# of whom it may be\n#" + kTwo);
    ASSERT_TRUE(keys) << keys.error();
    ASSERT_EQ(keys->all().size(), 2u);
    EXPECT_EQ(keys->all()[0], (PeerKeys::Key{kOne, "a"}));
    EXPECT_EQ(keys->all()[1], (PeerKeys::Key{kTwo, ""}));
    ASSERT_NE(keys->find(kTwo), nullptr);
    EXPECT_EQ(keys->find(std::string(40, '0')), nullptr);
    EXPECT_TRUE(PeerKeys::parse("")->all().empty());
}

TEST(PeerKeys, NeverBeginWithTheCharacterOfRemarks) {
    const std::string odd = "#" + std::string(39, '0');
    EXPECT_FALSE(is_curve_key(odd)) << "five characters that begin so hold more than 32 bits";
    EXPECT_EQ(PeerKeys::parse(odd)->all().size(), 0u) << "so it is a remark";
}

TEST(PeerKeys, SayInWhichLineWhatIsWrong) {
    EXPECT_EQ(error_of(kOne + "\nnonsense\n"),
              "line 2: no key; expected a public key of 40 characters, as weftctl prints it");
    EXPECT_EQ(error_of(kOne + "\n" + kOne + "\n"), "line 2: this key stands there twice; expected once");
    EXPECT_EQ(error_of(kOne + " a/b"), "line 1: \"a/b\" is not a node's name; expected one behind the key, or nothing");
    EXPECT_EQ(error_of("\n" + kOne + " a b"), "line 2: \"b\" is too much; expected a key and a node's name");
    std::string many;
    for (std::size_t i = 0; i <= PeerKeys::kMaxKeys; ++i) {
        std::string key = std::to_string(100'000 + i);
        many += std::string(kCurveKeyText - key.size(), '0') + key + "\n";
    }
    EXPECT_EQ(error_of(many), "line 257: expected at most 256 keys");
}

class KeyFile : public testing::Test {
protected:
    void SetUp() override {
        path_ = (std::filesystem::temp_directory_path() / ("weft-key-" + std::to_string(getpid()))).string();
    }
    void TearDown() override { std::filesystem::remove(path_); }
    std::string secret(const std::string& text, mode_t mode = 0600) {
        std::ofstream(path_, std::ios::trunc) << text;
        chmod(path_.c_str(), mode);
        const auto key = load_secret_key(path_);
        return key ? *key : key.error().substr(path_.size());
    }
    std::string path_;
};

TEST_F(KeyFile, HoldsOneSecretKeyBehindRemarks) {
    EXPECT_EQ(secret("# secret\n# of a\n\n" + kOne + "\n"), kOne);
    EXPECT_EQ(secret(kOne), kOne);
    const std::string none = " has no secret key; expected what \"weftctl keygen curve\" writes";
    EXPECT_EQ(secret(""), none);
    EXPECT_EQ(secret("# " + kOne), none);
    EXPECT_EQ(secret(kOne + " a\n"), none) << "that is a line of a list";
    EXPECT_EQ(secret(std::string(PeerKeys::kMaxFile + 1, '\n')), " is too long; expected at most 65536 bytes");
}

TEST_F(KeyFile, IsRefusedWhenEverybodyMayReadIt) {
    EXPECT_EQ(secret(kOne, 0640), kOne) << "a group may";
    EXPECT_EQ(secret(kOne, 0644), " can be read by everybody; expected a file of mode 0600 or 0640");
}

}  // namespace
}  // namespace weft
