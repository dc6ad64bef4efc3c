# weft_echo: what comes goes back, and a sender that doesn't read is not read either.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

my $t    = Weft::Test->new;
my $node = $t->node(
    'a',
    location => 'weft_ticket key=' . $t->key_file . ';',
    server   => 'location /echo { weft_echo; weft_rate off; weft_message_size 16m; weft_send_queue 64k; }',
);

sub echo_client { return Weft::Client->open(port => $node->port, path => "/echo", @_) }

check 'text and binary come back as they came, without a greeting' => sub {
    my $client = echo_client();
    unlike($client->answer, qr/Sec-WebSocket-Protocol/i, 'no subprotocol');
    for my $case ([ text => 'héllo' ], [ binary => "\x00\xff\x80" ], [ text => '' ], [ binary => 'x' x 70_000 ]) {
        my ($opcode, $payload) = @$case;
        $client->raw_send(Weft::Client::frame_bytes($opcode => $payload));
        my $frame = $client->next_frame;
        is($frame->{opcode}, $Weft::Client::OPCODE{$opcode}, $opcode);
        ok($frame->{payload} eq $payload, length($payload) . ' bytes');
    }
    is($client->leave->{code}, 1000, 'closed in peace');
};

check 'offered subprotocols are passed over' => sub {
    unlike(echo_client(protocols => 'chat, superchat')->answer, qr/Sec-WebSocket-Protocol/i, 'none is answered');
};

check 'a client that sends without reading is paused, and loses nothing' => sub {
    my $client = echo_client(receive_buffer => 4096);
    my $status = sub { $node->status->{connections}{paused} };
    my $child  = fork // die "fork: $!\n";
    if (!$child) {    # sends 400 frames of 50,000 bytes, as fast as they are taken
        $client->socket->blocking(1);
        $client->raw_send(Weft::Client::frame_bytes(binary => pack('N', $_) . 'e' x 50_000)) for 1 .. 400;
        require POSIX;
        POSIX::_exit(0);
    }
    ok(wait_for { $status->() == 1 }, 'the worker stops reading it');
    my $wrong = 0;
    for my $n (1 .. 400) {
        my $frame = $client->next_frame;
        $wrong++ unless $frame && $frame->{payload} eq pack('N', $n) . 'e' x 50_000;
    }
    is($wrong, 0, 'everything came back, in order');
    waitpid $child, 0;
    is($?,            0, 'everything was sent');
    is($status->(), 0, 'nobody is paused any more');
};

$t->finish;
done_testing;
