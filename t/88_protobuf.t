# weft.v1.protobuf: what the other files say of weft.v1.json holds of it too, and what is different is said here.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Weft::Test;

my $CODEC = 'weft.v1.protobuf';

# The same files again, in the other codec.
for my $file (qw(06_fanout 72_expiry 73_rules 75_revocation 80_history 81_presence 82_ack)) {
    check "t/$file.t holds in $CODEC" => sub {
        local $ENV{WEFT_TEST_CODEC}  = $CODEC;
        local $ENV{WEFT_ACK_SECONDS} = 8;
        my $output = qx{'$^X' '-I$FindBin::Bin/lib' '$FindBin::Bin/$file.t' 2>&1};
        is($? >> 8 || $? & 127, 0, 'as in JSON') or diag($output);
        unlike($output, qr/^1\.\.0/m, 'and is not skipped');
    };
}

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $node = $t->node('a', rules => "weft_channel chat:* { publish on; }\nweft_channel old:* { publish on; history 100 1m; }\n", location => "weft_ticket key=$key; weft_rate off;");
sub client { my ($protocols, %claims) = @_; return $node->client(%claims, with => { protocols => $protocols }) }

check 'who prefers it gets it, and the answer says so' => sub {
    like(client($CODEC)->answer, qr/^Sec-WebSocket-Protocol: weft\.v1\.protobuf\r$/m, 'alone');
    like(client("$CODEC, weft.v1.json")->answer, qr/^Sec-WebSocket-Protocol: weft\.v1\.protobuf\r$/m, 'first');
    like(client("weft.v1.json, $CODEC")->answer, qr/^Sec-WebSocket-Protocol: weft\.v1\.json\r$/m, 'second');
};

check 'strings that are not UTF-8 are refused, and nothing but the refusal is written to any log' => sub {
    my $client = Weft::Client->open(port => $node->port, ticket => $t->ticket, headers => [ 'Sec-WebSocket-Protocol' => $CODEC ]);
    $client->next_frame;    # the greeting
    $client->raw_send(Weft::Client::frame_bytes(binary => "\x0a\x02\xff\xfe"));    # an id
    like($client->next_frame->{payload}, qr/strings in UTF-8/, 'refused');
    unlike($node->nginx->error_log . $node->weftd->log_text, qr/protobuf ERROR/, 'nothing of protobuf itself');
};

check 'clients of both codecs talk to each other, byte for byte' => sub {
    my $ann = client($CODEC, sub => 'ann');
    my $bob = client('weft.v1.json', sub => 'bob');
    $_->subscribe('chat:both') for $ann, $bob;
    my $data = '{"n":1.50,"big":12345678901234567890,"text":"\u00e4 \/ "}';
    my $said = sub {
        my ($frame) = @_;
        return $frame =~ /"data":(\{.*?\})/ ? $1 : $frame =~ /\x12.(\{.*?\})/s ? $1 : 'nothing';
    };
    $bob->send_text(qq({"type":"publish","payload":{"channel":"chat:both","data":$data}}));
    is($said->($ann->next_frame->{payload}), $data, 'from JSON to protobuf');
    is($said->($bob->next_text), $data, 'and to JSON');
    my $published = $ann->must('publish', channel => 'chat:both', data => [ 'x' ], message_id => 'm1');
    for ($ann, $bob) {
        my $event = $_->event;
        is_deeply($event->{data}, ['x'], 'from protobuf');
        is($event->{message_id}, 'm1', 'with its message_id');
        is($event->{position}, $published->{position}, 'and its position');
        is($event->{publisher}{user}, 'ann', 'and who said it');
        is($event->{publisher}{client_id}, $ann->greeting->{client_id}, 'from which connection');
    }
    $ann->must('signal', channel => 'chat:both', name => 'typing', data => { on => JSON::PP::true });
    is_deeply($_->expect('signal')->{payload}{data}, { on => JSON::PP::true }, 'a signal') for $ann, $bob;
    is_deeply($ann->must('rpc', method => 'weft.echo', params => { a => [ 1, 2 ] })->{result}, { a => [ 1, 2 ] }, 'rpc');
    is($node->publish('chat:both', '{"from":"back end"}')->{status}, 202, 'a back end publishes');
    is_deeply($_->event->{data}, { from => 'back end' }, 'to both') for $ann, $bob;
};

check 'a position of one codec resumes in the other' => sub {
    my $ann      = client($CODEC);
    my $position = $ann->subscribe('old:both')->{position};
    $ann->must('publish', channel => 'old:both', data => $_) for 1 .. 3;
    my $bob = client('weft.v1.json');
    my $resumed = $bob->subscribe('old:both', position => $position);
    ok($resumed->{recovered}, 'recovered');
    is($resumed->{replay}, 3, 'with all that was missed');
    is_deeply([ map { $bob->event->{data} } 1 .. 3 ], [ 1, 2, 3 ], 'in order');
};

check 'what is no command is answered, what is text ends the connection' => sub {
    my $ann = client($CODEC);
    my @wrong = (
        [ "\xff"                   => qr/no ClientFrame/ ],
        [ ''                       => qr/no command that this server knows/ ],
        [ "\x32\x03\x0a\x01a"      => qr/"data" is missing/ ],
        [ "\x32\x06\x0a\x01a\x12\x01{" => qr/"data" is not JSON/ ],
        [ "\x22\x03\x0a\x01 "      => qr/not a channel name/ ],
    );
    for (@wrong) {
        $ann->send_frame(binary => $_->[0]);
        my $error = $ann->expect('error')->{payload};
        is($error->{code}, 4006, 'invalid_message');
        like($error->{message}, $_->[1], 'which says why');
    }
    is($ann->call('ping')->{type}, 'pong', 'the connection goes on');
    $ann->send_text('{"type":"ping"}');
    is($ann->read_close->{code}, 1003, 'text is refused');
    my $bob = client('weft.v1.json');
    $bob->send_frame(binary => "\x5a\x00");
    is($bob->read_close->{code}, 1003, 'as binary is in the other codec');
};

$t->finish;
done_testing;
